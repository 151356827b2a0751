"""Servers that are functions: what was asked, and answers that a test controls."""

import asyncio
from collections.abc import Sequence

from toolrm_guard.serving.groups import Group


def group(prompt: int, *suffixes: int) -> Group:
    """A decision on prompt `prompt` whose candidates are worth their own number."""
    return Group(prompt=(prompt,) * 10, suffixes=tuple((suffix,) for suffix in suffixes))


def worth(groups: Sequence[Group]) -> list[list[float]]:
    return [[float(suffix[0]) for suffix in group.suffixes] for group in groups]


class Server:
    """Answers with `worth` after `delay_s`, unless `error` is set; counts what it is asked."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.error: Exception | None = None
        self.asked: list[list[Group]] = []
        self.cancelled = 0
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, groups: Sequence[Group]) -> list[list[float]]:
        self.asked.append(list(groups))
        try:
            await self.open.wait()
            await asyncio.sleep(self.delay_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return worth(groups)

    @property
    def sizes(self) -> list[int]:
        """Candidates in each request."""
        return [sum(len(group.suffixes) for group in groups) for groups in self.asked]
