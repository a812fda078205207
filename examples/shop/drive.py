"""Sends requests to the shop: most are normal, a tenth is slow, a tenth fails."""

import argparse
import json
import os
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import requests

# A request, and what must come of it: its status, and the spans of its trace by service.
BROWSE = {
    "kind": "normal", "request": "GET /products/teapot", "product": None, "status": 200,
    "entry": "GET /products/<product_id>",
    "spans": {"frontend": 2, "inventory": 2}, "error_spans": 0,
}
CHECKOUT = {
    "kind": "normal", "request": "POST /checkout", "product": "teapot", "status": 201,
    "entry": "POST /checkout",
    "spans": {"frontend": 2, "orders": 4, "inventory": 3}, "error_spans": 0,
}
SLOW = {**CHECKOUT, "kind": "slow", "product": "samovar"}
FAILING = {
    **CHECKOUT, "kind": "failing", "product": "mystery-box", "status": 502,
    "spans": {"frontend": 2, "orders": 3, "inventory": 2}, "error_spans": 6,
}


def plan(count, seed):
    """The requests to send, the same for the same count and seed."""
    tenth = max(1, count // 10)
    wanted = [SLOW] * tenth + [FAILING] * tenth + [BROWSE, CHECKOUT] * count
    wanted = wanted[:count]
    random.Random(seed).shuffle(wanted)
    return wanted


def send(base_url, wanted):
    """Sends a request. Returns what was wanted, with the trace id and the status that came back."""
    method, path = wanted["request"].split()
    body = {"product": wanted["product"], "quantity": 1} if wanted["product"] else None
    reply = requests.request(method, base_url + path, json=body, timeout=30)
    if reply.status_code != wanted["status"] or "x-trace-id" not in reply.headers:
        sys.exit(f"expected {wanted}, got {reply.status_code} {dict(reply.headers)}: {reply.text}")
    services, count = sorted(wanted["spans"]), sum(wanted["spans"].values())
    return {"trace_id": reply.headers["x-trace-id"], **wanted, "services": services, "span_count": count}


def main():
    frontend = f"http://127.0.0.1:{os.environ.get('SHOP_FRONTEND_PORT', '5001')}"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=300, help="how many (300)")
    parser.add_argument("--concurrency", type=int, default=4, help="how many at a time (4)")
    parser.add_argument("--seed", type=int, default=1, help="the order of the requests (1)")
    parser.add_argument("--base-url", default=frontend, help="the frontend (%(default)s)")
    tracewright = f"http://localhost:{os.environ.get('TRACEWRIGHT_QUERY_PORT', '16686')}"
    parser.add_argument("--query-url", default=tracewright, help="Tracewright (%(default)s)")
    parser.add_argument("--expect", metavar="FILE", help="write one JSON line per request: its trace as it must be")
    args = parser.parse_args()

    begin = time.monotonic()
    try:
        with ThreadPoolExecutor(args.concurrency) as pool:
            sent = list(pool.map(lambda wanted: send(args.base_url, wanted), plan(args.requests, args.seed)))
    except requests.RequestException as error:
        sys.exit(f"no answer from the shop: {error}")
    print(f"{len(sent)} requests in {time.monotonic() - begin:.1f} s")

    if args.expect:
        with open(args.expect, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in sent)
    for kind in ("normal", "slow", "failing"):
        ids = [line["trace_id"] for line in sent if line["kind"] == kind]
        if ids:
            print(f"  {len(ids):4} {kind:8} curl {args.query_url}/traces/{ids[-1]}")


if __name__ == "__main__":
    main()
