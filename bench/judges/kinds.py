"""The judges by name: `random`, `longer`, `schema` and `vote` are the baselines.

`lite`, `logprob` and `disc` give rewards, too; `gen` chooses between two.
"""

import random
from collections.abc import Callable, Sequence

from bench.judges.protocol import Judge, JudgeSettings, Question, readable
from toolrm_guard.errors import ConfigurationError, CouldNotJudge
from toolrm_guard.scorers.base import ScoreRequest

Rewards = Callable[[Question], Sequence[float]]


class LocalRater:
    """A function as a rater."""

    parallel = 1

    def __init__(self, name: str, rewards: Rewards, *, alone: bool) -> None:
        """Take the function; `alone` as in `Rater`."""
        self.name = name
        self.alone = alone
        self._rewards = rewards

    async def rate(self, question: Question) -> Sequence[float]:
        """Return the function's rewards."""
        return self._rewards(question)


def make_judge(name: str, settings: JudgeSettings) -> Judge:
    """Return the judge of that name.

    Raises:
        ConfigurationError: If there is none, or it lacks a setting.
    """
    if name not in JUDGES:
        raise ConfigurationError(f"no scorer {name}; known: {', '.join(JUDGES)}, or `all`")
    return JUDGES[name](settings)


def _random(settings: JudgeSettings) -> Judge:
    rng = random.Random(settings.seed)
    # Not `alone`: equal candidates have unequal luck.
    return LocalRater("random", lambda q: [rng.random() for _ in q.request.candidates], alone=False)


def _longer(_: JudgeSettings) -> Judge:
    def rewards(question: Question) -> list[float]:
        return [float(len(c.canonical) + len(c.text)) for c in question.request.candidates]

    return LocalRater("longer", rewards, alone=True)


def _schema(_: JudgeSettings) -> Judge:
    """A candidate whose calls all pass the schema checks gets 1; so does one without calls."""

    def rewards(question: Question) -> list[float]:
        finder = readable(question).finder
        return [
            float(not any(f.severity == "error" for call in c.calls for f in finder.check(call)))
            for c in question.request.candidates
        ]

    return LocalRater("schema", rewards, alone=True)


def _vote(_: JudgeSettings) -> Judge:
    """Share of the prompt's other answers with the same calls; the candidate itself is out."""

    def rewards(question: Question) -> list[float]:
        if not question.pool:
            raise CouldNotJudge("there are no other answers to this prompt to vote with")
        others = max(question.pool.total() - 1, 1)
        return [(question.pool[c.canonical] - 1) / others for c in question.request.candidates]

    return LocalRater("vote", rewards, alone=False)


def _lite(settings: JudgeSettings) -> Judge:
    from toolrm_guard.scorers.lite import LiteModel  # LightGBM only where it is asked for

    model = LiteModel.load(settings.model)
    latest: list[ScoreRequest] = []

    def rewards(question: Question) -> list[float]:
        request = readable(question)
        # Sets drawn from one pool share the context, and what was read of it.
        if not (latest and latest[0].messages is request.messages):
            latest[:] = [request]
        return [float(reward) for reward in model.rewards(request, latest[0].finder)]

    # Its features compare a candidate with the others of the request.
    return LocalRater("lite", rewards, alone=False)


def _logprob(_: JudgeSettings) -> Judge:
    from bench.judges.logprob import LogprobRater  # torch only where it is asked for

    return LogprobRater()


def _disc(settings: JudgeSettings) -> Judge:
    from bench.judges.endpoint import DiscRater

    return DiscRater(settings)


def _gen(settings: JudgeSettings) -> Judge:
    from bench.judges.endpoint import GenRanker

    return GenRanker(settings)


JUDGES: dict[str, Callable[[JudgeSettings], Judge]] = {
    "random": _random,
    "longer": _longer,
    "schema": _schema,
    "vote": _vote,
    "lite": _lite,
    "logprob": _logprob,
    "disc": _disc,
    "gen": _gen,
}
LOCAL = ("random", "longer", "schema", "vote", "lite")
"""What `all` means: no server, no torch, a few milliseconds a pair."""
