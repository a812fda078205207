"""Sends a trace by Datadog's own library to DD_TRACE_AGENT_URL, and prints the trace's id as Tracewright answers it."""
from ddtrace.trace import tracer

with tracer.trace("web.request", service="dd-shop", resource="POST /checkout", span_type="web") as server:
    server.set_tag("span.kind", "server")
    server.set_tag("http.method", "POST")
    server.set_tag("http.route", "/checkout")
    server.set_tag("http.status_code", "502")
    with tracer.trace("place order", service="dd-shop") as order:
        order.set_tag("app.order.id", "o-1")
        with tracer.trace("postgresql.query", service="dd-shop", resource="SELECT stock", span_type="sql") as query:
            query.set_tag("span.kind", "client")
            query.set_tag("db.operation", "SELECT")
            query.set_tag("db.instance", "stock")
            query.set_metric("db.row_count", 7)
            query.error = 1
            query.set_tag("error.type", "Timeout")
            query.set_tag("error.message", "the bank is away")
    server.error = 1
tracer.flush()
# The receiver keeps the lower half of an id.
print(format(server.trace_id & (1 << 64) - 1, "032x"))
