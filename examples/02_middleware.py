"""The guard as middleware of LangChain's `create_agent`: a wrong call is corrected unseen.

The model's first draft deletes the wrong file. Its critique goes back off the history, the second
draft passes, and only that one is executed and remembered.

    python examples/02_middleware.py

Prints:

    deleted report_old.txt
    human: Please delete report_old.txt.
    ai: delete_file {'name': 'report_old.txt'}
    tool: report_old.txt was deleted
    ai: The file is gone.
"""

from langchain.agents import create_agent
from langchain_core.language_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage

from toolrm_guard import Guard, GuardMiddleware


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


drafts = [delete("rapport.txt", "a"), delete("report_old.txt", "b"), AIMessage("The file is gone.")]
agent = create_agent(
    Scripted(responses=drafts), [delete_file], middleware=[GuardMiddleware(Guard("lite"))]
)
result = agent.invoke({"messages": [("user", "Please delete report_old.txt.")]})

for message in result["messages"]:
    calls = getattr(message, "tool_calls", None) or []
    said = message.text or " ".join(f"{call['name']} {call['args']}" for call in calls)
    print(f"{message.type}: {said}")
