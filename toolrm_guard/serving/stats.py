"""What the serving machinery counted: a snapshot for metrics, `doctor` and benches."""

from dataclasses import dataclass

from toolrm_guard.serving.breaker import BreakerState


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStats:
    """One server since the scorer was made.

    Attributes:
        server: Its URL.
        breaker: `closed` is asked, `open` is left alone, `half_open` is tried once.
        opened: How often the breaker opened.
        batches: Requests sent.
        items: Candidates in them.
        failures: Requests without a usable answer.
        waiting: Candidates not yet sent.
        in_flight: Requests sent and not yet answered.
        latency_p50_s: Median seconds of the last requests; None before there are 20.
        latency_p95_s: The 95th percentile of the same.
    """

    server: str
    breaker: BreakerState
    opened: int
    batches: int
    items: int
    failures: int
    waiting: int
    in_flight: int
    latency_p50_s: float | None
    latency_p95_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingStats:
    """A scorer's servers together, since it was made.

    Attributes:
        items: Candidates asked for; each is a cache hit, joined, or sent.
        cache_hits: Candidates whose score was known, a twin in the same decision included.
        joined: Candidates that another review was waiting for already.
        refused: Decisions answered at once because a server had too much to do.
        expired: Decisions whose deadline passed before they were answered.
        hedges: Second servers that were asked because the first was slow.
        hedges_won: How many of those answered first.
        failovers: Second servers that were asked because the first failed.
        servers: One entry a server, in the order given.
    """

    items: int
    cache_hits: int
    joined: int
    refused: int
    expired: int
    hedges: int
    hedges_won: int
    failovers: int
    servers: tuple[ServerStats, ...]
