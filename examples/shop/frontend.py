"""frontend: where the customer's request enters the shop."""

import requests
from flask import request
from opentelemetry import trace

from common import new_app, serve, url

app = new_app("frontend")


@app.get("/products/<product_id>")
def show_product(product_id):
    reply = requests.get(f"{url('inventory')}/products/{product_id}", timeout=10)
    reply.raise_for_status()
    return reply.json()


@app.post("/checkout")
def checkout():
    order = request.get_json()
    if "product" not in order:
        return {"error": "which product?"}, 400
    reply = requests.post(f"{url('orders')}/orders", json=order, timeout=10)
    reply.raise_for_status()
    return reply.json(), 201


@app.after_request
def tell_trace_id(response):
    """Lets the caller find the trace of its request."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        response.headers["x-trace-id"] = trace.format_trace_id(context.trace_id)
    return response


if __name__ == "__main__":
    serve(app)
