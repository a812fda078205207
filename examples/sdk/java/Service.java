import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.opentelemetry.api.GlobalOpenTelemetry;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.Tracer;
import io.opentelemetry.context.Scope;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.concurrent.Executors;

/**
 * One of two services: front, which customers call and which calls back; or back. Spans of HTTP come from the agent (java
 * -javaagent:opentelemetry-javaagent.jar); one of business is made by hand.
 */
public class Service {
  private static final Tracer TRACER = GlobalOpenTelemetry.getTracer("checkout");
  private static final HttpClient CLIENT = HttpClient.newHttpClient();

  public static void main(String[] args) throws IOException {
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(System.getenv("PORT"))), 0);
    server.createContext("/checkout", Service::checkout);
    server.createContext("/stock", Service::stock);
    server.setExecutor(Executors.newFixedThreadPool(4));
    server.start();
  }

  private static void checkout(HttpExchange exchange) throws IOException {
    Span span = TRACER.spanBuilder("place order").startSpan();
    try (Scope scope = span.makeCurrent()) {
      span.setAttribute("app.order.id", "o-1").setAttribute("app.order.value", 19.9);
      URI stock = URI.create(System.getenv("BACK_URL") + "/stock/book");
      HttpResponse<Void> response = CLIENT.send(HttpRequest.newBuilder(stock).build(), HttpResponse.BodyHandlers.discarding());
      if (response.statusCode() != 200) {
        throw new IOException("stock answers " + response.statusCode());
      }
      answer(exchange, 200, span.getSpanContext().getTraceId() + "\n");
    } catch (IOException | InterruptedException e) {
      span.recordException(e);
      span.setStatus(StatusCode.ERROR, String.valueOf(e.getMessage()));
      answer(exchange, 502, e + "\n");
    } finally {
      span.end();
    }
  }

  private static void stock(HttpExchange exchange) throws IOException {
    try {
      Thread.sleep(20);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    answer(exchange, 200, "7\n");
  }

  private static void answer(HttpExchange exchange, int status, String body) throws IOException {
    exchange.sendResponseHeaders(status, body.length());
    exchange.getResponseBody().write(body.getBytes());
    exchange.close();
  }
}
