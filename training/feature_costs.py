"""What each group of features costs: microseconds a candidate, measured where it is computed.

A profile says in which function the time goes, and overstates small ones; so its shares are applied
to the time that the same extraction takes unprofiled.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, FrameType

from toolrm_guard.findings import Finder
from toolrm_guard.grounding import Evidence
from toolrm_guard.relevance import Relevance
from toolrm_guard.scorers import call_evidence as calls
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.scorers.features import Extractor
from toolrm_guard.scorers.lite import inputs

_OWNERS: Mapping[str, tuple[object, ...]] = {
    "schema": (Finder.check,),
    "grounding": (Evidence.support, Evidence.stated, Evidence.is_coded),
    "optional arguments": (calls.weigh_absent, calls.is_default),
    "switches": (calls.weigh_switch,),
    "numbers": (calls.weigh_number,),
    "texts": (calls.weigh_text,),
    "formats": (calls.weigh_format,),
    "choices": (calls.weigh_choice,),
    "roles": (calls.weigh_roles, calls.weigh_reuse),
    "coverage": (Extractor.coverage,),
    "tool fit": (Extractor.fit, Relevance.fit_of),
    "clauses": (Extractor.clauses,),
    "calls": (Extractor.own,),
    "context": (Extractor.context,),
}
"""The functions that compute a group; time in what they call is theirs, but for other owners."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Microseconds a candidate.

    Attributes:
        total: Of all features, and of comparing the candidates.
        by_group: Parts of it; what is no group's own stands under the empty name.
        candidates: Of a review, mean.
    """

    total: float
    by_group: Mapping[str, float]
    candidates: float


def measure(requests: Sequence[ScoreRequest]) -> Costs:
    """Return what features cost on these requests; each is read afresh, tools come from the cache.

    The fastest of three passes counts, in time of this process, since others only ever add.
    """
    candidates = sum(len(request.candidates) for request in requests)
    seconds = min(_pass(requests) for _ in range(3))
    profile = _Profile()
    sys.setprofile(profile)
    try:
        _pass(requests)
    finally:
        sys.setprofile(None)
    spent = profile.seconds
    total = seconds / candidates * 1e6
    whole = sum(spent.values())
    return Costs(
        total=total,
        by_group={group: total * part / whole for group, part in spent.items()},
        candidates=candidates / len(requests),
    )


def _pass(requests: Sequence[ScoreRequest]) -> float:
    started = time.process_time()
    for request in requests:
        inputs(request, Finder(request.messages, request.tools))
    return time.process_time() - started


class _Profile:
    """Gives the time between two calls or returns to the innermost owner on the stack."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._group_of: dict[CodeType, str] = {
            function.__code__: group  # type: ignore[attr-defined]  # all are plain functions
            for group, functions in _OWNERS.items()
            for function in functions
        }
        self._stack: list[str] = [""]
        self._last = time.perf_counter()

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        now = time.perf_counter()
        self.seconds[self._stack[-1]] += now - self._last
        if event in ("call", "return"):
            group = self._group_of.get(frame.f_code)
            if group is not None and event == "call":
                self._stack.append(group)
            elif group is not None and len(self._stack) > 1:
                self._stack.pop()
        self._last = time.perf_counter()
