"""OpenTelemetry metrics: what a guard decides, what it costs, and where it could not judge.

Only the API is used; the application configures the SDK, and without one all of this is a no-op.
Every attribute has few values: decisions, effect classes, modes, names of scorers and of our own
errors. Arguments never get here; the names of tools only when `Guard(tool_metrics=True)` asks.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Observation

from toolrm_guard.tracing import PREFIX, TOOL_NAME

SCORER = PREFIX + "scorer"
MODE = PREFIX + "mode"
DECISION = PREFIX + "decision"
EFFECT = PREFIX + "effect"
VERDICT = PREFIX + "verdict"
REASON = PREFIX + "reason"
OUTCOME_KIND = PREFIX + "outcome.kind"
OUTCOME_OK = PREFIX + "outcome.ok"
STATE = PREFIX + "state"
RESULT = PREFIX + "result"
TOKEN_TYPE = "gen_ai.token.type"
SERVER = ("server.address", "server.port")
ERROR_TYPE = "error.type"

SECONDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Bucket boundaries in s: `lite` takes 1 to 8 ms, a served model 30 to 500, a deadline is 2 s."""

Kind = Literal["counter", "histogram", "observable counter", "gauge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One row of the table in docs/observability.md.

    Attributes:
        name: As OpenTelemetry exports it.
        kind: Of instrument.
        unit: In UCUM; `{...}` says what is counted.
        attributes: What it is split by.
        description: What one more means.
    """

    name: str
    kind: Kind
    unit: str
    attributes: tuple[str, ...]
    description: str


REVIEW_DURATION = Instrument(
    name="toolrm_guard.review.duration",
    kind="histogram",
    unit="s",
    attributes=(SCORER, MODE),
    description="Wall time of a review, the scorer included.",
)
SCORER_DURATION = Instrument(
    name="toolrm_guard.scorer.duration",
    kind="histogram",
    unit="s",
    attributes=(SCORER, ERROR_TYPE),
    description="The scorer's share of a review; with an error type where it gave no scores.",
)
DECISIONS = Instrument(
    name="toolrm_guard.decisions",
    kind="counter",
    unit="{review}",
    attributes=(DECISION, EFFECT, MODE, SCORER),
    description="Reviews by decision; the effect is the gravest among the chosen calls, `answer` "
    "for a turn without calls. In shadow mode, what would have been decided.",
)
CALLS = Instrument(
    name="toolrm_guard.calls",
    kind="counter",
    unit="{call}",
    attributes=(VERDICT, EFFECT, MODE, SCORER, TOOL_NAME),
    description="Calls of chosen candidates by verdict; by tool only with `tool_metrics`.",
)
UNJUDGED = Instrument(
    name="toolrm_guard.unjudged",
    kind="counter",
    unit="{review}",
    attributes=(ERROR_TYPE, EFFECT, MODE, SCORER),
    description="Reviews in which the guard could not judge, by the class of the error.",
)
CORRECTIONS = Instrument(
    name="toolrm_guard.corrections",
    kind="counter",
    unit="{review}",
    attributes=(DECISION, MODE, SCORER),
    description="Reviews of corrected turns, by what the correction came to.",
)
ESCALATIONS = Instrument(
    name="toolrm_guard.escalations",
    kind="counter",
    unit="{call}",
    attributes=(REASON, EFFECT, MODE, SCORER),
    description="Calls held for a human, for a low score or for want of a judgement.",
)
OUTCOMES = Instrument(
    name="toolrm_guard.outcomes",
    kind="counter",
    unit="{outcome}",
    attributes=(OUTCOME_KIND, OUTCOME_OK),
    description="What became of calls: executions, human answers, calls stopped at the tool, "
    "tasks.",
)
STORE_ENTRIES = Instrument(
    name="toolrm_guard.store.entries",
    kind="observable counter",
    unit="{entry}",
    attributes=(STATE,),
    description="Reviews and outcomes that the trace store has `written`, `dropped` because its "
    "queue was full, or `failed` to write.",
)
STORE_QUEUE = Instrument(
    name="toolrm_guard.store.queue",
    kind="gauge",
    unit="{entry}",
    attributes=(),
    description="Entries that wait for the trace store's writer.",
)
CANDIDATES = Instrument(
    name="toolrm_guard.served.candidates",
    kind="observable counter",
    unit="{candidate}",
    attributes=(RESULT, SCORER),
    description="Candidates that a served scorer was asked for: a `hit` of its cache, `joined` to "
    "one that another review waits for, or a `miss`.",
)
REFUSED = Instrument(
    name="toolrm_guard.served.refused",
    kind="observable counter",
    unit="{decision}",
    attributes=(REASON, SCORER),
    description="Decisions that a served scorer gave up: `overloaded` at once, `expired` at their "
    "deadline.",
)
HEDGES = Instrument(
    name="toolrm_guard.served.hedges",
    kind="observable counter",
    unit="{request}",
    attributes=(STATE, SCORER),
    description="Second servers `asked` because the first was slow, and those that `won`.",
)
FAILOVERS = Instrument(
    name="toolrm_guard.served.failovers",
    kind="observable counter",
    unit="{request}",
    attributes=(SCORER,),
    description="Second servers asked because the first failed.",
)
SERVER_REQUESTS = Instrument(
    name="toolrm_guard.server.requests",
    kind="observable counter",
    unit="{request}",
    attributes=SERVER,
    description="Batches sent to a server.",
)
SERVER_CANDIDATES = Instrument(
    name="toolrm_guard.server.candidates",
    kind="observable counter",
    unit="{candidate}",
    attributes=SERVER,
    description="Candidates in those batches; the mean batch size is their quotient.",
)
SERVER_FAILURES = Instrument(
    name="toolrm_guard.server.failures",
    kind="observable counter",
    unit="{request}",
    attributes=SERVER,
    description="Batches without a usable answer.",
)
SERVER_WAITING = Instrument(
    name="toolrm_guard.server.waiting",
    kind="gauge",
    unit="{candidate}",
    attributes=SERVER,
    description="Candidates that wait for a server.",
)
BREAKER_STATE = Instrument(
    name="toolrm_guard.breaker.state",
    kind="gauge",
    unit="{server}",
    attributes=(*SERVER, STATE),
    description="1 for the state that a server's breaker is in, `closed`, `half_open` or `open`; "
    "0 for the others.",
)
CRITIC_TOKENS = Instrument(
    name="toolrm_guard.critic.tokens",
    kind="observable counter",
    unit="{token}",
    attributes=(TOKEN_TYPE,),
    description="Tokens that the critic read and wrote, as its server counts them.",
)
CRITIC_REQUESTS = Instrument(
    name="toolrm_guard.critic.requests",
    kind="observable counter",
    unit="{request}",
    attributes=(RESULT,),
    description="Questions to the critic: `answered`, `unreadable` (no label in the answer), or "
    "`failed`.",
)
CASCADE_DECISIONS = Instrument(
    name="toolrm_guard.cascade.decisions",
    kind="observable counter",
    unit="{decision}",
    attributes=(RESULT,),
    description="Decisions of a cascade: `kept` by the first scorer, `escalated` to the second, or "
    "`fell_back` because the second did not judge in time.",
)

_meter = metrics.get_meter("toolrm_guard")


def counter(row: Instrument) -> Counter:
    """Return the counter of a row."""
    return _meter.create_counter(row.name, unit=row.unit, description=row.description)


def duration(row: Instrument) -> Histogram:
    """Return the histogram of a row in seconds, with buckets that suit a review."""
    return _meter.create_histogram(
        row.name,
        unit=row.unit,
        description=row.description,
        explicit_bucket_boundaries_advisory=SECONDS,
    )


def observe(row: Instrument, read: Callable[[Instrument], Iterable[Observation]]) -> None:
    """Have a row read by `read` whenever the SDK collects; without an SDK that is never."""

    def callback(options: CallbackOptions) -> Iterable[Observation]:
        return read(row)

    create = (
        _meter.create_observable_gauge if row.kind == "gauge" else _meter.create_observable_counter
    )
    create(row.name, callbacks=[callback], unit=row.unit, description=row.description)
