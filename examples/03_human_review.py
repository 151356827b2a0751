"""A doubtful call waits for a person, who edits it; the edited call is scored before it runs.

    python examples/03_human_review.py

Prints:

    waiting: delete_file {'name': 'report.txt'}
    deleted report_old.txt
    The file is gone.
"""

from langchain.agents import create_agent
from langchain_core.language_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from toolrm_guard import Guard, GuardMiddleware, Policy, Rule


def delete_file(name: str) -> str:
    """Delete a file for good."""
    print("deleted", name)
    return f"{name} was deleted"


class Scripted(FakeMessagesListChatModel):
    """A model that says what it is told to, in order."""

    def bind_tools(self, tools: object, **kwargs: object) -> "Scripted":
        """Offer the tools; this model knows already what it will say."""
        return self


call = {"name": "delete_file", "args": {"name": "report.txt"}, "id": "a"}
turns = [AIMessage(content="", tool_calls=[call]), AIMessage("The file is gone.")]
policy = Policy(destructive=Rule(on_low="escalate", threshold=0.7), max_corrections=0)
agent = create_agent(
    Scripted(responses=turns),
    [delete_file],
    middleware=[GuardMiddleware(Guard("lite", policy=policy))],
    checkpointer=InMemorySaver(),
)
thread = {"configurable": {"thread_id": "1"}}

paused = agent.invoke({"messages": [("user", "Please delete report_old.txt.")]}, thread)
[question] = paused["__interrupt__"]
for request in question.value["action_requests"]:
    print("waiting:", request["name"], request["args"])

edited = {"name": "delete_file", "args": {"name": "report_old.txt"}}
answer = {"decisions": [{"type": "edit", "edited_action": edited}]}
result = agent.invoke(Command(resume=answer), thread)
print(result["messages"][-1].text)
