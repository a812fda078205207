"""orders: places an order in two steps of business, each a span of its own."""

import time

import requests
from flask import request
from opentelemetry import trace

from common import new_app, serve, url

app = new_app("orders")
tracer = trace.get_tracer("shop.orders")


@app.post("/orders")
def place_order():
    order = request.get_json()
    product, quantity = order["product"], order.get("quantity", 1)

    # An exception that leaves this block is recorded on the span and makes it an error.
    with tracer.start_as_current_span("reserve items") as span:
        span.set_attribute("business.product.id", product)
        span.set_attribute("business.quantity", quantity)
        items = {"product": product, "quantity": quantity}
        reply = requests.post(f"{url('inventory')}/reservations", json=items, timeout=10)
        reply.raise_for_status()

    with tracer.start_as_current_span("charge card") as span:
        amount = reply.json()["price_cents"] * quantity
        span.set_attribute("business.amount_cents", amount)
        time.sleep(0.005)  # the bank

    return {"product": product, "quantity": quantity, "amount_cents": amount}, 201


if __name__ == "__main__":
    serve(app)
