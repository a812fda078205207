"""Sends a trace by AWS X-Ray's own library to the daemon at AWS_XRAY_DAEMON_ADDRESS, and prints the trace's id as Tracewright answers it."""
from aws_xray_sdk.core import xray_recorder

xray_recorder.configure(service="xray-shop", sampling=False, context_missing="RUNTIME_ERROR")
segment = xray_recorder.begin_segment("xray-shop")
segment.put_http_meta("method", "POST")
segment.put_http_meta("url", "http://shop.example/checkout")
segment.put_http_meta("client_ip", "10.0.0.1")
segment.put_http_meta("status", 502)
order = xray_recorder.begin_subsegment("place order")
order.put_annotation("order_id", "o-1")
bank = xray_recorder.begin_subsegment("bank.example", namespace="remote")
bank.put_http_meta("method", "POST")
bank.put_http_meta("url", "http://bank.example/charge")
bank.put_http_meta("status", 503)
try:
    raise TimeoutError("the bank is away")
except TimeoutError as fault:
    bank.add_exception(fault, [])
xray_recorder.end_subsegment()
xray_recorder.end_subsegment()
xray_recorder.end_segment()
print(segment.trace_id.replace("-", "")[1:])
