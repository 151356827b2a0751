"""A guard in a LangGraph graph: of two drafts, the right one runs.

The guard node stands in the model's place: it draws the drafts, judges them with the embedded
scorer `lite`, and sends what it approves to the tools. Here the model is scripted, so that this
runs without a network; put any chat model in its place.

    python examples/01_guard_node.py

Prints:

    deleted report_old.txt
    The file is gone.
"""

from langchain_core.language_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

from toolrm_guard import Guard, guard_node, guarded_tool_node


def read_file(name: str) -> str:
    """Read a file."""
    return f"contents of {name}"


def delete_file(name: str) -> str:
    """Delete a file for good."""
    print("deleted", name)
    return f"{name} was deleted"


class Scripted(FakeMessagesListChatModel):
    """A model that says what it is told to, in order."""

    def bind_tools(self, tools: object, **kwargs: object) -> "Scripted":
        """Offer the tools; this model knows already what it will say."""
        return self


def delete(name: str, call_id: str) -> AIMessage:
    """Return a turn that calls `delete_file`."""
    call = {"name": "delete_file", "args": {"name": name}, "id": call_id}
    return AIMessage(content="", tool_calls=[call])


tools = [read_file, delete_file]
done = AIMessage("The file is gone.")
model = Scripted(responses=[delete("report.txt", "a"), delete("report_old.txt", "b"), done, done])
guard = Guard("lite")

graph = StateGraph(MessagesState)
graph.add_node("guard", guard_node(guard, tools, model=model, n=2))
graph.add_node("tools", guarded_tool_node(tools, guard))
graph.add_edge(START, "guard")
graph.add_edge("tools", "guard")

result = graph.compile().invoke({"messages": [("user", "Please delete report_old.txt.")]})
print(result["messages"][-1].text)
