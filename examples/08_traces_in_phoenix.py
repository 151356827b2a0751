"""One run of an agent is one trace: the agent's steps, its drafts, and the guard's reviews.

OpenInference's instrumentor makes a span of every LangChain step; the guard's own spans join them.
Without a backend this prints the trace as a tree. With one, it is sent there, too:

    pip install 'toolrm-guard[lite,langgraph]' opentelemetry-sdk \
        opentelemetry-exporter-otlp-proto-http openinference-instrumentation-langchain
    python examples/08_traces_in_phoenix.py

    pip install arize-phoenix && phoenix serve        # in an environment of its own
    OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:6006 python examples/08_traces_in_phoenix.py

Prints:

    LangGraph
      guard
        Scripted
        Scripted
        toolrm_guard.review: correct
        Scripted
        Scripted
        toolrm_guard.review: execute
      tools
        delete_file
      guard
        Scripted
        Scripted
        toolrm_guard.review: execute
"""

import os
from collections.abc import Sequence

from langchain_core.language_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from toolrm_guard import Guard, guard_node, guarded_tool_node


def read_file(name: str) -> str:
    """Read a file."""
    return f"contents of {name}"


def delete_file(name: str) -> str:
    """Delete a file for good."""
    return f"{name} was deleted"


class Scripted(FakeMessagesListChatModel):
    """A model that says what it is told to, in order; put any chat model in its place."""

    def bind_tools(self, tools: object, **kwargs: object) -> "Scripted":
        """Offer the tools; this model knows already what it will say."""
        return self


def delete(call_id: str, **arguments: str) -> AIMessage:
    """Return a turn that calls `delete_file`."""
    call = {"name": "delete_file", "args": arguments, "id": call_id}
    return AIMessage(content="", tool_calls=[call])


def print_tree(spans: Sequence[ReadableSpan], parent: int | None = None, depth: int = 0) -> None:
    """Print the spans below one, in the order in which they began."""
    below = [s for s in spans if (s.parent.span_id if s.parent else None) == parent]
    for span in sorted(below, key=lambda span: span.start_time or 0):
        decision = (span.attributes or {}).get("toolrm_guard.decision")
        print("  " * depth + span.name + (f": {decision}" if decision else ""))
        print_tree(spans, span.context.span_id, depth + 1)


memory = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(memory))
if "OTEL_EXPORTER_OTLP_ENDPOINT" in os.environ:  # where it is, the exporter reads by itself
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
LangChainInstrumentor().instrument()

done = AIMessage("The file is gone.")
wrong, right = delete("a", file="report_old.txt"), delete("b", name="report_old.txt")
model = Scripted(responses=[wrong, wrong, right, right, done, done])  # two drafts a round
guard = Guard("lite")
tools = [read_file, delete_file]
graph = StateGraph(MessagesState)
graph.add_node("guard", guard_node(guard, tools, model=model, n=2))
graph.add_node("tools", guarded_tool_node(tools, guard))
graph.add_edge(START, "guard")
graph.add_edge("tools", "guard")
graph.compile().invoke({"messages": [("user", "Please delete report_old.txt.")]})

provider.shutdown()  # sends what is still waiting
print_tree(memory.get_finished_spans())
