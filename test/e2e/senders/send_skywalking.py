"""Sends a trace by SkyWalking's own library to SW_AGENT_COLLECTOR_BACKEND_SERVICES, and prints the trace's id as SkyWalking writes it."""
import time

from skywalking import Component, Layer, agent
from skywalking.trace.context import get_context
from skywalking.trace.tags import TagHttpMethod, TagHttpStatusCode, TagHttpURL

agent.start()
context = get_context()
with context.new_entry_span(op="POST:/checkout") as entry:
    entry.layer = Layer.Http
    entry.component = Component.Flask
    entry.tag(TagHttpMethod("POST"))
    entry.tag(TagHttpURL("http://shop.example/checkout"))
    entry.tag(TagHttpStatusCode(502))
    with context.new_local_span(op="place order"):
        with context.new_exit_span(op="/charge", peer="bank.example:80") as bank:
            bank.layer = Layer.Http
            bank.component = Component.Requests
            bank.raised()
            bank.log(TimeoutError("the bank is away"))
    trace_id = str(context.segment.related_traces[0])
time.sleep(2)  # the agent sends in the background
print(trace_id)
