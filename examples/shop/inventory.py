"""inventory: knows the products and their stock; the only service with a database.

Two products are special, so that there is something to find:
  samovar      its stock is in a warehouse overseas, and asking there takes 300 ms inside the SQL query
  mystery-box  nobody wrote down its shelf: reserving it raises an exception
"""

import os
import sqlite3
import tempfile
import time
from contextlib import closing

from flask import request

from common import new_app, serve

SCHEMA = """
PRAGMA journal_mode = WAL;  -- a slow reader does not hold up the writers
CREATE TABLE products (id TEXT PRIMARY KEY, price_cents INTEGER, stock INTEGER, warehouse TEXT, shelf TEXT);
INSERT INTO products VALUES
  ('teapot',      2500,  1000000, 'local',    'A1'),
  ('kettle',      3900,  1000000, 'local',    'A2'),
  ('mug',          800,  1000000, 'local',    'B1'),
  ('samovar',     19900, 1000000, 'overseas', 'C7'),
  ('mystery-box', 100,   1000000, 'local',    NULL);
"""

STOCK = """SELECT price_cents, shelf, CASE warehouse WHEN 'overseas' THEN slow_lookup(stock) ELSE stock END
FROM products WHERE id = ?"""

app = new_app("inventory")
folder = tempfile.TemporaryDirectory(prefix="shop-")


def slow_lookup(stock):
    time.sleep(0.3)
    return stock


def connect():
    db = sqlite3.connect(os.path.join(folder.name, "shop.db"))
    db.execute("PRAGMA synchronous = OFF")  # thrown away at exit, so no need to wait for the disk
    db.create_function("slow_lookup", 1, slow_lookup)
    return closing(db)


# The instrumentation makes a span for each statement of a cursor, and none for those of a connection.
@app.get("/products/<product_id>")
def show_product(product_id):
    with connect() as db:
        row = db.cursor().execute("SELECT id, price_cents FROM products WHERE id = ?", (product_id,)).fetchone()
    if row is None:
        return {"error": f"no product {product_id}"}, 404
    return {"id": row[0], "price_cents": row[1]}


@app.post("/reservations")
def reserve():
    wanted = request.get_json()
    product, quantity = wanted["product"], wanted["quantity"]
    with connect() as db:
        cursor = db.cursor()
        row = cursor.execute(STOCK, (product,)).fetchone()
        if row is None:
            return {"error": f"no product {product}"}, 404
        price_cents, shelf, stock = row
        if shelf is None:
            raise LookupError(f"product {product} has no shelf")
        if stock < quantity:
            return {"error": f"only {stock} of {product} left"}, 409
        cursor.execute("UPDATE products SET stock = stock - ? WHERE id = ?", (quantity, product))
        db.commit()
    return {"price_cents": price_cents, "shelf": shelf}, 201


if __name__ == "__main__":
    with connect() as setup:
        setup.executescript(SCHEMA)
    serve(app)
