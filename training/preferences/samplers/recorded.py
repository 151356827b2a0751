"""Responses that the source recorded: real outputs of real models, the most natural errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from training.preferences.rows import Context, Response


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSampler:
    """The responses that a context brought with it, in their order.

    Attributes:
        models: Take these alone; None takes all.
        without_errors: Error types to leave out, where the source's label is known to be harsh.
        limit: At most so many a context; None takes all.
    """

    models: Sequence[str] | None = None
    without_errors: Sequence[str] = ()
    limit: Annotated[int, Field(ge=0)] | None = None
    name: str = "recorded"

    def sample(self, context: Context, seed: int) -> list[Response]:
        """Return the context's recorded responses; nothing here is random."""
        found = [
            response
            for response in context.responses
            if (self.models is None or response.by in self.models)
            and response.error not in self.without_errors
        ]
        return found[: self.limit]
