"""No framework: a loop over an OpenAI-shaped client, guarded in three lines.

`client` stands for `openai.OpenAI()`, or any client with the same `chat.completions.create`. One
request brings two candidates (`n=2`); the guard chooses, and only what it approves is run.

    python examples/04_any_loop.py

Prints:

    approved: delete_file {'name': 'report_old.txt'}
    deleted report_old.txt
    The file is gone.
"""

import json
from types import SimpleNamespace as Reply
from typing import Any

from toolrm_guard import Guard


def delete_file(name: str) -> str:
    """Delete a file for good."""
    print("deleted", name)
    return f"{name} was deleted"


def proposal(name: str, call_id: str) -> Reply:
    """Return a choice of an OpenAI reply that calls `delete_file`."""
    function = Reply(name="delete_file", arguments=json.dumps({"name": name}))
    call = Reply(id=call_id, type="function", function=function)
    return Reply(message=Reply(role="assistant", content=None, tool_calls=[call]))


class Client:
    """Answers like the API, from a script."""

    replies = [
        [proposal("report.txt", "a"), proposal("report_old.txt", "b")],
        [Reply(message=Reply(role="assistant", content="The file is gone.", tool_calls=None))],
    ]

    def create(self, **request: Any) -> Reply:
        """Return the next reply."""
        return Reply(choices=self.replies.pop(0))


functions = {"delete_file": delete_file}
guard = Guard("lite")
client = Client()
messages: list[Any] = [{"role": "user", "content": "Please delete report_old.txt."}]

while True:
    reply = client.create(messages=messages, tools=list(functions), n=2)
    candidates = [choice.message for choice in reply.choices]
    review = guard.review(messages, [delete_file], candidates)
    winner = candidates[review.chosen]
    if not winner.tool_calls:
        print(winner.content)
        break
    messages.append(winner)
    for call in winner.tool_calls:
        if review.approves(call):
            arguments = json.loads(call.function.arguments)
            print("approved:", call.function.name, arguments)
            result = functions[call.function.name](**arguments)
            guard.record_outcome(call.id, ok=True, kind="execution", content=result)
        else:
            result = review.critique or "This call was not approved."
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
