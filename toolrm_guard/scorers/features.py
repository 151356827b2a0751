"""Evidence features of a candidate, columns as in `feature_table`.

Nothing here looks at where a record came from, which model wrote a candidate, or how its JSON was
laid out. How far candidates agree is no feature: `agreement` adds it to what the trees say.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.findings import Finder
from toolrm_guard.grounding import Evidence
from toolrm_guard.relevance import is_each, tool_fit
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.scorers.call_evidence import CallEvidence, Scene, weigh
from toolrm_guard.scorers.feature_table import (
    COMPARED,
    COUNTS,
    FEATURES,
    GROUPS,
    INPUT_GROUPS,
    INPUTS,
    MONOTONE,
    NAMES,
    NEUTRAL,
    PER,
    SUMS,
    FeatureSpec,
)
from toolrm_guard.scorers.request_view import RequestView

__all__ = [
    "COMPARED",
    "FEATURES",
    "GROUPS",
    "INPUTS",
    "INPUT_GROUPS",
    "MONOTONE",
    "NAMES",
    "Extractor",
    "FeatureSpec",
    "compare",
    "extract",
]

Floats = NDArray[np.float32]


def extract(request: ScoreRequest, finder: Finder) -> Floats:
    """Return the features of every candidate.

    Args:
        request: Conversation, tools and candidates.
        finder: Its findings are part of the evidence; made from the same request.

    Returns:
        (candidates, len(FEATURES)) float32, every value finite.
    """
    return Extractor(request, finder).rows()


def compare(features: Floats, sets: NDArray[np.int64]) -> Floats:
    """Return each row's features minus the mean of the other rows of its set.

    What counts is often not how much evidence a candidate has but whether it has more than its
    rivals, which trees see at once in the difference and hardly in the sum. Alone, all are 0.

    Args:
        features: (rows, len(FEATURES)).
        sets: (rows,) index of the set each row belongs to.

    Returns:
        (rows, len(COMPARED)).
    """
    own = features[:, list(COMPARED)]
    size = np.bincount(sets)[sets][:, None]
    order = np.argsort(sets, kind="stable")
    starts = np.flatnonzero(np.diff(sets[order], prepend=-1))
    number = np.searchsorted(sets[order][starts], sets)
    total = np.add.reduceat(own[order], starts, axis=0)[number]
    others = (total - own) / np.maximum(size - 1, 1)
    return np.where(size > 1, own - others, 0.0).astype(np.float32)


class Extractor:
    """The features of one request; a method a group, so that the cost of each can be told."""

    def __init__(self, request: ScoreRequest, finder: Finder) -> None:
        """Read the request."""
        self._request = request
        self._finder = finder
        relevance = finder.relevance
        view = RequestView(relevance.request)
        self._scene = Scene(
            everything=finder.evidence,
            request=Evidence((relevance.request,)),
            view=view,
            relevance=relevance,
        )
        self._weighed: dict[str, CallEvidence] = {}
        ranked = sorted(relevance.fits, key=lambda n: -relevance.fits[n].score)
        self._rank = {name: rank for rank, name in enumerate(ranked)}
        self._before = {call.canonical for m in request.messages for call in m.calls}

    def rows(self) -> Floats:
        """Return (candidates, len(FEATURES))."""
        context = self.context()
        known: dict[str, list[float]] = {}
        rows = []
        for candidate in self._request.candidates:
            own = known.get(candidate.canonical)
            if own is None:
                own = known[candidate.canonical] = self._row(candidate)
            rows.append([*own, *context])
        return np.asarray(rows, dtype=np.float32)

    def _weigh(self, call: Call) -> CallEvidence:
        found = self._weighed.get(call.canonical)
        if found is None:
            tool = self._request.tools.get(call.name)
            errors = self._finder.check(call)
            found = self._weighed[call.canonical] = weigh(call, tool, errors, self._scene)
        return found

    def _row(self, candidate: Candidate) -> list[float]:
        calls = [self._weigh(call) for call in candidate.calls[:64]]
        covered = set().union(*(call.covered for call in calls))
        totals = dict.fromkeys(COUNTS, 0.0)
        for call in calls:
            for name, amount in call.counts.items():
                totals[name] += amount
        totals["list_neighbours_loose"] = self._scene.view.loose_neighbours(covered)
        sums = [totals[name] for name in SUMS]
        size = len(calls)
        means = []
        for name, total in totals.items():
            over = totals[PER[name]] if name in PER else size
            means.append(total / over if over else NEUTRAL.get(name, 0.0))
        return [*sums, *means, *self.own(candidate, calls)]

    def own(self, candidate: Candidate, calls: list[CallEvidence]) -> list[float]:
        """Return what a candidate does as a whole: calls, grounding over all of them."""
        supports = [s for c in calls for s in c.supports]
        stated = [s for c in calls for s in c.stated]
        texts = [s for c in calls for s in c.texts]
        canonical = [call.canonical for call in candidate.calls]
        names = {call.name for call in candidate.calls}
        return [
            min(supports, default=1.0),
            _mean(supports),
            min(stated, default=1.0),
            _mean(stated),
            min(texts, default=1.0),
            len(canonical),
            float(not canonical),
            len(canonical) - len(set(canonical)),
            sum(c in self._before for c in canonical),
            len(names),
            *self.fit(candidate),
            *self.coverage(calls),
            *self.clauses(candidate, names),
        ]

    def fit(self, candidate: Candidate) -> list[float]:
        """Return how well the called tools fit the request."""
        relevance = self._scene.relevance
        fits = [relevance.fits[c.name] for c in candidate.calls if c.name in relevance.fits]
        best = relevance.best or 1.0
        scores = [fit.score / best for fit in fits]
        return [
            _mean(scores, 0.0),
            min(scores, default=0.0),
            _mean([fit.share for fit in fits], 0.0),
            _mean([fit.name for fit in fits], 0.0),
            max((self._rank.get(c.name, 0) for c in candidate.calls), default=0),
        ]

    def coverage(self, calls: list[CallEvidence]) -> list[float]:
        """Return how much of the request the calls cover."""
        view = self._scene.view
        covered: set[int] = set()
        said: set[str] = set()
        for call in calls:
            covered |= call.covered
            said |= call.said
        numbers = view.number_words
        named = view.named - numbers
        content = view.content
        either = sum(i in covered or view.stems[i] in said for i in content)
        own = _exclusive(calls)
        return [
            _share(len(numbers & covered), len(numbers)),
            len(numbers - covered),
            _share(len(named & covered), len(named)),
            len(named - covered),
            sum(not covered.intersection(span) for span in view.quoted),
            _share(len(content & covered), len(content)),
            _share(either, len(content)),
            min(own, default=0),
            sum(count == 0 for count in own),
        ]

    def _fillable(self) -> float:
        relevance, view = self._scene.relevance, self._scene.view
        name = max(relevance.fits, key=lambda n: relevance.fits[n].score, default=None)
        if name is None:
            return 0.0
        tool = relevance.tools[name]
        numbers, names, filled = len(view.number_words), len(view.named), 0.0
        for argument in tool.required:
            schema = tool.properties.get(argument)
            kind = schema.get("type") if isinstance(schema, Mapping) else None
            options = schema.get("enum") if isinstance(schema, Mapping) else None
            if options:
                filled += any(self._scene.request.stated(str(o)) > 0.8 for o in options[:20])
            elif kind in ("integer", "number"):
                filled += numbers > 0
                numbers -= 1
            elif kind == "boolean" or names > 0:
                filled += 1
                names -= kind != "boolean"
            else:
                filled += 0.5
        return _share(filled, len(tool.required))

    def clauses(self, candidate: Candidate, names: set[str]) -> list[float]:
        """Return the calls against the clauses and lists of the request."""
        relevance = self._scene.relevance
        wanted = set(relevance.clause_tools)
        calls = len(candidate.calls)
        return [
            _share(len(wanted & names), len(wanted)),
            len(names - wanted),
            len(wanted) - len(names),
            min(len(relevance.clauses), 12) - calls,
            self._listed() - calls,
        ]

    def _listed(self) -> int:
        return min(self._scene.relevance.listed, 12)

    def context(self) -> list[float]:
        """Return what the conversation is like, the same for all candidates."""
        relevance, view, messages = self._scene.relevance, self._scene.view, self._request.messages
        last_user = max((i for i, m in enumerate(messages) if m.role == "user"), default=-1)
        return [
            len(self._request.tools),
            len(view.stems),
            len(view.number_words),
            len(view.named),
            len(relevance.clauses),
            self._listed(),
            float(is_each(view.text)),
            float("?" in view.text),
            tool_fit(relevance),
            max((fit.name for fit in relevance.fits.values()), default=0.0),
            self._fillable(),
            float(bool(messages) and messages[-1].role == "tool"),
            sum(len(m.calls) for m in messages[last_user + 1 :]),
            sum(m.role == "user" for m in messages),
        ]


def _exclusive(calls: list[CallEvidence]) -> list[int]:
    """Return, for calls of tools called several times, the words no sister call covers."""
    sisters: dict[str, list[CallEvidence]] = {}
    for call in calls:
        sisters.setdefault(call.tool, []).append(call)
    own = []
    for group in sisters.values():
        times = Counter(index for call in group for index in call.covered)
        if len(group) > 1:
            own += [sum(times[index] == 1 for index in call.covered) for call in group]
    return own


def _mean(values: Sequence[float], empty: float = 1.0) -> float:
    return sum(values) / len(values) if values else empty


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0
