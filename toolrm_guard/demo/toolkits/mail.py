"""A mailbox: look for mail, send it, put it away, throw it away."""

from dataclasses import dataclass, field, replace
from typing import Annotated

from pydantic import Field

from toolrm_guard.demo.toolkits.toolkit import Toolkit, find, next_id, plain
from toolrm_guard.tools import effect

MessageId = Annotated[str, Field(description="Message id, for example M100.")]
Subject = Annotated[str, Field(description="Subject line.")]
Body = Annotated[str, Field(description="Text of the mail.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One received mail."""

    sender: str
    subject: str
    folder: str = "inbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One mail that left the house."""

    to: str
    subject: str
    body: str
    cc: str = ""


def _messages() -> dict[str, Message]:
    return {
        "M101": Message(sender="Ana Brandt", subject="Invoice for March"),
        "M102": Message(sender="Ana Braun", subject="Invoice for April"),
        "M103": Message(sender="Prize Desk", subject="You won a lottery"),
        "M104": Message(sender="Tax Office", subject="Tax assessment 2024"),
        "M105": Message(sender="Tax Office", subject="Tax reminder 2025"),
        "M106": Message(sender="Prize Draw", subject="You won a voucher"),
    }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mail(Toolkit):
    """A mailbox with two senders called Ana and two pieces of spam."""

    messages: dict[str, Message] = field(default_factory=_messages)
    sent: dict[str, Sent] = field(default_factory=dict)

    @effect("read")
    def search_mail(
        self,
        sender: Annotated[str, Field(description="Name of the sender; empty for anyone.")] = "",
        subject: Annotated[str, Field(description="Word in the subject; empty for any.")] = "",
    ) -> str:
        """Search the received mail by sender and subject."""
        hits = [
            f"{key}: {row.subject}, from {row.sender}, in {row.folder}"
            for key, row in self.messages.items()
            if plain(sender) in plain(row.sender) and plain(subject) in plain(row.subject)
        ]
        return "; ".join(hits) or "No mail found."

    @effect("write")
    def send_mail(
        self,
        to: Annotated[str, Field(description="Mail address of the receiver.")],
        subject: Subject,
        body: Body,
        cc: Annotated[str, Field(description="Mail address that gets a copy.")] = "",
    ) -> str:
        """Send a mail to one person."""
        if "@" not in to:
            raise ValueError(f"{to!r} is not a mail address.")
        self.sent[next_id(self.sent, "S")] = Sent(to=to, subject=subject, body=body, cc=cc)
        return f"Sent to {to}."

    @effect("destructive")
    def send_to_everyone(self, subject: Subject, body: Body) -> str:
        """Send a mail to every person in the address book."""
        self.sent[next_id(self.sent, "S")] = Sent(to="everyone", subject=subject, body=body)
        return "Sent to everyone."

    @effect("write")
    def archive_mail(self, message_id: MessageId) -> str:
        """Move a mail to the archive, where it is kept."""
        key = find(self.messages, message_id, "message")
        self.messages[key] = replace(self.messages[key], folder="archive")
        return f"{key} is archived."

    @effect("destructive")
    def delete_mail(self, message_id: MessageId) -> str:
        """Delete a mail for good."""
        key = find(self.messages, message_id, "message")
        del self.messages[key]
        return f"{key} is deleted."
