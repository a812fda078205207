// One of two services: front, which customers call and which calls back; or back. Spans of HTTP come from the automatic
// instrumentation (node --require @opentelemetry/auto-instrumentations-node/register); one of business is made by hand.
const http = require("node:http");
const { trace, SpanStatusCode } = require("@opentelemetry/api");

const tracer = trace.getTracer("checkout");

function get(url) {
  return new Promise((resolve, reject) => {
    http
      .get(url, (response) => {
        response.resume();
        response.on("end", () => (response.statusCode === 200 ? resolve() : reject(new Error(`stock answers ${response.statusCode}`))));
      })
      .on("error", reject);
  });
}

function checkout(response) {
  return tracer.startActiveSpan("place order", async (span) => {
    span.setAttributes({ "app.order.id": "o-1", "app.order.value": 19.9 });
    try {
      await get(`${process.env.BACK_URL}/stock/book`);
      response.end(`${span.spanContext().traceId}\n`);
    } catch (error) {
      span.recordException(error);
      span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
      response.writeHead(502).end(`${error.message}\n`);
    } finally {
      span.end();
    }
  });
}

const server = http.createServer((request, response) => {
  if (request.url === "/checkout") return checkout(response);
  if (request.url.startsWith("/stock/")) return setTimeout(() => response.end("7\n"), 20);
  response.writeHead(404).end();
});
server.listen(Number(process.env.PORT), "127.0.0.1");
// The instrumentation takes the signal to send the last spans; then nothing else ends the process.
process.once("SIGTERM", () => {
  server.close();
  server.closeAllConnections();
});
