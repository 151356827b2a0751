"""Reviews a second of many agents at one reward server, by the way it is asked.

    python -m bench.throughput --url http://127.0.0.1:8000 --folder DISC [--model NAME] [--json OUT]
    python -m bench.throughput --stand-in

Each agent asks for one review after the other; all start at once. Agents share their system prompt
and tools, as those of one application do, and each review has a request of its own, that no other
has: so nothing comes out of our cache of scores, and the server's prefix cache helps all alike.
Candidates are `--candidates` a review, of which `--distinct` differ.

All ways of asking run on the same token ids, interleaved in random order, `--rounds` times; what is
printed is the median round. A review's latency is that of asking alone: no guard, no deadline.
`--stand-in` measures the clients, not the server: a process on loopback takes a fixed time for a
request and for a candidate, one after the other, and computes nothing.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer

from bench import runs
from bench.contenders.asking import Asker, Open, Question, askers
from bench.stand_in.process import stand_in
from bench.stand_in.replies import MODEL, unweighted_folder
from toolrm_guard.calls import Call, Candidate
from toolrm_guard.disc_prompt import encode_decision
from toolrm_guard.messages import parse_messages
from toolrm_guard.scorers.base import ScoreRequest
from toolrm_guard.scorers.disc_card import DiscCard
from toolrm_guard.scorers.turn_tokens import TurnTokens
from toolrm_guard.serving.groups import Group
from toolrm_guard.tools import ToolSet

AGENTS = (1, 16, 64, 256)
REFERENCE = "one a request"
STAND_IN_REQUEST_MS = 4.0
STAND_IN_ITEM_MS = 1.0
_CITIES = ("Oslo", "Bergen", "Trondheim", "Stavanger", "Bodø", "Tromsø", "Ålesund", "Molde")
TOOLS = ToolSet.of(
    [
        {
            "name": "find_trains",
            "description": "Find trains between two stations on a day.",
            "parameters": {
                "type": "object",
                "properties": {"to": {"type": "string"}, "day": {"type": "integer"}},
                "required": ["to", "day"],
            },
        }
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way of asking in one cell.

    Attributes:
        per_s: Reviews a second, from the first question to the last answer; the median round's.
        ratio: `per_s` over that of `REFERENCE` in the same round; the median over rounds.
        p50_ms: Median milliseconds of a review, over all rounds.
        items_per_request: Candidates in a request.
    """

    agents: int
    name: str
    reviews: int
    rounds: int
    per_s: float
    ratio: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    requests: int
    items: int
    items_per_request: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One way of asking, once."""

    seconds: float
    latencies_ms: tuple[float, ...]
    requests: int
    items: int


def questions(
    count: int,
    tokens: TurnTokens,
    *,
    candidates: int,
    distinct: int,
    max_tokens: int,
    rng: random.Random,
) -> list[Question]:
    """Return decisions with the same system prompt and tools, and a request of their own each."""
    made = []
    for _ in range(count):
        number = rng.randrange(10**9)
        messages = parse_messages(
            [
                {
                    "role": "system",
                    "content": "You plan trips by train. Ask when a day is missing.",
                },
                {"role": "user", "content": f"Trip {number}: to {rng.choice(_CITIES)} on the 5th?"},
            ]
        )
        drafts = [
            Candidate(calls=(Call(name="find_trains", arguments={"to": _CITIES[k % 8], "day": k}),))
            for k in range(distinct)
        ]
        drawn = [*drafts, *rng.choices(drafts, k=candidates - distinct)]
        rng.shuffle(drawn)
        request = ScoreRequest(messages=messages, tools=TOOLS, candidates=tuple(drawn))
        made_ids = encode_decision(tokens, messages, TOOLS, drawn, max_tokens=max_tokens)
        group = Group(prompt=made_ids.prompt, suffixes=made_ids.suffixes)
        made.append(Question(request=request, group=group))
    return made


async def one_round(open_asker: Open, asked: Sequence[Question], agents: int) -> Round:
    """Return what one way took for these questions, asked by so many agents."""
    asker = open_asker()
    await _warm(asker, asked[0])
    before = asker.sent()
    requests, items = before.requests, before.items
    waiting: Iterator[Question] = iter(asked[1:])
    latencies: list[float] = []

    async def agent() -> None:
        for question in waiting:
            began = time.perf_counter()
            await asker.ask(question)
            latencies.append((time.perf_counter() - began) * 1e3)

    began = time.perf_counter()
    await asyncio.gather(*(agent() for _ in range(agents)))
    seconds = time.perf_counter() - began
    sent = asker.sent()
    await asker.close()
    return Round(
        seconds=seconds,
        latencies_ms=tuple(latencies),
        requests=sent.requests - requests,
        items=sent.items - items,
    )


async def _warm(asker: Asker, question: Question) -> None:
    """Open a connection, let `VllmScorer` check its server, the server keep the shared prefix."""
    await asker.ask(question)


def measure(
    ways: dict[str, Open], tokens: TurnTokens, options: argparse.Namespace, max_tokens: int
) -> list[Row]:
    """Return every row; says on stderr which cell runs."""
    rng = random.Random(options.seed)
    rows: list[Row] = []
    for agents in options.agents:
        reviews = max(options.reviews, agents)
        seen: dict[str, list[Round]] = {name: [] for name in ways}
        for turn in range(options.rounds):
            for name in rng.sample(list(ways), k=len(ways)):
                asked = questions(
                    reviews + 1, tokens, candidates=options.candidates,
                    distinct=options.distinct, max_tokens=max_tokens, rng=rng,
                )  # fmt: skip
                seen[name].append(asyncio.run(one_round(ways[name], asked, agents)))
                took = seen[name][-1].seconds
                said = f"{agents} agents, round {turn + 1}, {name}: {reviews} in {took:.1f} s"
                print(said, file=sys.stderr, flush=True)
        rows += rows_of(seen, agents, reviews)
    return rows


def rows_of(seen: dict[str, list[Round]], agents: int, reviews: int) -> list[Row]:
    """Return the rows of one cell; `ratio` compares within a round."""
    reference = [found.seconds for found in seen[REFERENCE]]
    rows = []
    for name, found in seen.items():
        latencies = [latency for each in found for latency in each.latencies_ms]
        p50, p95, p99 = np.percentile(latencies, [50, 95, 99])
        requests = round(statistics.mean(each.requests for each in found))
        items = round(statistics.mean(each.items for each in found))
        rows.append(
            Row(
                agents=agents, name=name, reviews=reviews, rounds=len(found),
                per_s=statistics.median(reviews / each.seconds for each in found),
                ratio=statistics.median(
                    base / each.seconds for base, each in zip(reference, found, strict=True)
                ),
                p50_ms=float(p50), p95_ms=float(p95), p99_ms=float(p99),
                requests=requests, items=items, items_per_request=items / max(1, requests),
            )
        )  # fmt: skip
    return rows


def table_of(rows: Sequence[Row], title: str) -> Table:
    """Return the rows as a table, a section a number of agents."""
    table = Table(title=title)
    table.add_column("agents", justify="right")
    table.add_column("way of asking", no_wrap=True)
    for head in ("reviews/s", f"ratio to {REFERENCE!r}", "p50, ms", "p95, ms", "p99, ms",
                 "requests", "items", "items/request"):  # fmt: skip
        table.add_column(head, justify="right")
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        table.add_row(
            str(row.agents), row.name, f"{row.per_s:.2f}", f"{row.ratio:.2f}",
            f"{row.p50_ms:,.0f}", f"{row.p95_ms:,.0f}", f"{row.p99_ms:,.0f}",
            f"{row.requests:,}", f"{row.items:,}", f"{row.items_per_request:.1f}",
            end_section=following is None or following.agents != row.agents,
        )  # fmt: skip
    return table


@contextmanager
def served(options: argparse.Namespace) -> Iterator[tuple[str, Path, str]]:
    """Return URL, folder and served name of the server that is given, or of a stand-in."""
    if not options.stand_in:
        yield options.url, options.folder, options.model or options.folder.resolve().name
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = unweighted_folder(Path(scratch))
        with stand_in(request_ms=STAND_IN_REQUEST_MS, item_ms=STAND_IN_ITEM_MS) as url:
            yield url, folder, MODEL


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--url", help="of a vLLM server with --runner pooling --convert classify")
    parser.add_argument("--folder", type=Path, help="the Disc folder that it serves")
    parser.add_argument("--model", help="the name that it serves it by (default: the folder's)")
    parser.add_argument("--stand-in", action="store_true", help="a server that computes nothing")
    parser.add_argument("--agents", type=int, nargs="+", default=list(AGENTS))
    parser.add_argument("--reviews", type=int, default=4, help="a round, at least one an agent")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--candidates", type=int, default=4)
    parser.add_argument("--distinct", type=int, help="of the candidates (default: all)")
    parser.add_argument("--only", default="", metavar="NAME,...")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args(argv)
    if not options.stand_in and not (options.url and options.folder):
        parser.error("give --url and --folder of a server, or --stand-in")
    options.distinct = options.distinct or options.candidates
    if not 1 <= options.distinct <= options.candidates:
        parser.error("--distinct must be between 1 and --candidates")
    with served(options) as (url, folder, model):
        card = DiscCard.load(folder)
        tokens = TurnTokens(Tokenizer.from_file(str(folder / "tokenizer.json")))
        ways = askers(url, folder, model)
        if options.only:
            ways = {n: w for n, w in ways.items() if n in {REFERENCE, *options.only.split(",")}}
        sample = questions(
            1, tokens, candidates=options.candidates, distinct=options.distinct,
            max_tokens=card.max_tokens, rng=random.Random(0),
        )[0]  # fmt: skip
        prompt, suffix = len(sample.group.prompt), len(sample.group.suffixes[0])
        rows = measure(ways, tokens, options, card.max_tokens)
    kind = "a stand-in that computes nothing" if options.stand_in else "vLLM"
    title = (
        f"{options.candidates} candidates ({options.distinct} distinct), prompt {prompt} tokens, "
        f"candidate {suffix}; {kind}"
    )
    Console(width=150).print(table_of(rows, title))
    if options.json:
        payload = {
            "bench": "throughput",
            "run": runs.describe(
                [folder / "disc.json"] if not options.stand_in else [], options.seed
            ),
            "server": kind,
            "prompt_tokens": prompt,
            "candidate_tokens": suffix,
            "candidates": options.candidates,
            "distinct": options.distinct,
            "rows": [asdict(row) for row in rows],
        }
        runs.write(options.json, payload)
    return 0


if __name__ == "__main__":
    sys.exit(main())
