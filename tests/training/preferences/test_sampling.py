import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.training.preferences.made import call, context, kept, reasons, response
from training.preferences.config import parse_config
from training.preferences.rows import Context, Dropped, Response
from training.preferences.sampling import (
    Draw,
    batches,
    make_draws,
    sample,
    sample_in_driver,
    starting,
)

WRONG = response(call(city="Bern"), by="wrong")
RIGHT = response(call(city="Oslo"), by="right")


@dataclass(frozen=True)
class Constant:
    name: str = "constant"

    def sample(self, context: Context, seed: int) -> list[Response]:
        return [response(text=f"seed {seed}", by="constant")]


@dataclass(frozen=True)
class Asking:
    """Answers many at a time; loses every context whose id ends in 1."""

    name: str = "asking"

    def sample(self, context: Context, seed: int) -> list[Response]:
        raise AssertionError("asked one by one")

    def sample_many(
        self, contexts: Iterable[Context], seed: int
    ) -> Iterator[tuple[Context, list[Response]] | Dropped]:
        window: list[Context] = []
        for item in contexts:
            window.append(item)
            if len(window) == 3:
                yield from map_all(window)
                window = []
        yield from map_all(window)


def map_all(window: list[Context]) -> Iterator[tuple[Context, list[Response]] | Dropped]:
    for item in window:
        if item.id.endswith("1"):
            yield Dropped(stage="sample", reason="http_500", id=item.id, detail="")
            yield item, []
        else:
            yield item, [response(text="asked", by="asking")]


def test_samplers_add_to_what_is_there() -> None:
    draws = [Draw(sampler=Constant(), when="always", keeps=True)]
    (row,) = kept(sample(context(WRONG), draws=draws, seed=4))
    assert [r.by for r in row.responses] == ["wrong", "constant"]
    assert row.responses[1].text == "seed 4"


def test_recorded_responses_are_left_out_unless_asked_for() -> None:
    draws = [Draw(sampler=Constant(), when="always", keeps=True)]
    (row,) = kept(sample(context(WRONG), draws=draws, seed=0, recorded=False))
    assert [r.by for r in row.responses] == ["constant"]


def test_a_sampler_may_be_kept_to_contexts_where_nobody_is_wrong() -> None:
    draws = [Draw(sampler=Constant(), when="no_wrong", keeps=True)]
    (row,) = kept(sample(context(WRONG), draws=draws, seed=0))
    assert [r.by for r in row.responses] == ["wrong"]
    (row,) = kept(sample(context(RIGHT), draws=draws, seed=0))
    assert [r.by for r in row.responses] == ["right", "constant"]


def test_a_sampler_may_be_kept_to_some_sources() -> None:
    mine, other = context(RIGHT), dataclasses.replace(context(RIGHT), source="other")
    draws = [Draw(sampler=Constant(), when="always", keeps=True, sources=(mine.source,))]
    (row,) = kept(sample(mine, draws=draws, seed=0))
    assert [r.by for r in row.responses] == ["right", "constant"]
    (row,) = kept(sample(other, draws=draws, seed=0))
    assert [r.by for r in row.responses] == ["right"]


def test_a_sampler_may_be_kept_to_a_share_that_hangs_on_the_context_alone() -> None:
    draws = [Draw(sampler=Constant(), when="always", keeps=True, share=0.3)]
    rows = [kept(sample(context(RIGHT, id=f"c{i}"), draws=draws, seed=0))[0] for i in range(200)]
    drawn = [len(row.responses) == 2 for row in rows]
    assert 30 < sum(drawn) < 90


def test_what_asks_many_at_a_time_keeps_the_order_and_counts_what_it_lost() -> None:
    contexts = [
        context(*([WRONG] if number % 4 == 2 else []), id=f"c{number:02}") for number in range(14)
    ]
    draw = Draw(sampler=Asking(), when="no_wrong", keeps=True)
    rows = list(sample_in_driver(lambda: contexts, draw, 0))
    assert reasons(rows) == ["http_500"] * 2
    done = kept(rows)
    assert [row.id for row in done] == [item.id for item in contexts]
    by = {row.id: [r.by for r in row.responses] for row in done}
    assert by["c00"] == ["asking"]
    assert by["c01"] == []
    assert by["c02"] == ["wrong"]


def test_only_samplers_that_ask_many_run_in_the_driver() -> None:
    one, many = (Draw(sampler=s, when="always", keeps=True) for s in (Constant(), Asking()))
    assert not one.many
    assert [len(part) for part in batches([one, one, many, one])] == [2, 1, 1]


def test_the_first_sampler_says_whether_records_count() -> None:
    sources = [{"name": "labelled"}]
    recorded = parse_config({"sources": sources, "samplers": [{"name": "recorded"}]})
    perturb = parse_config({"sources": sources, "samplers": [{"name": "perturb"}]})
    assert starting(context(WRONG), recorded).responses
    assert not starting(context(WRONG), perturb).responses


def test_perturbations_learn_values_of_other_contexts() -> None:
    config = parse_config({"sources": [{"name": "labelled"}], "samplers": [{"name": "perturb"}]})
    (draw,) = make_draws(config, lambda: [context()])
    (row,) = kept(sample(context(), draws=[draw], seed=0))
    assert row.responses
    assert all(r.by.startswith("edit:") for r in row.responses)


def test_what_is_skipped_is_yielded_when_its_turn_comes() -> None:
    read = 0

    def contexts() -> Iterator[Context]:
        nonlocal read
        for number in range(1000):
            read += 1
            yield context(WRONG, id=f"c{number}")

    draw = Draw(sampler=Asking(), when="no_wrong", keeps=True)
    for made, row in enumerate(sample_in_driver(contexts, draw, 0), 1):
        assert isinstance(row, Context)
        assert read == made  # nothing waits in memory


def test_samplers_that_learn_each_read_the_contexts_from_the_first_on() -> None:
    perturb = {"name": "perturb"}
    config = parse_config({"sources": [{"name": "labelled"}], "samplers": [perturb, perturb]})
    first, second = make_draws(config, lambda: iter([context()]))
    (one,), (other,) = (kept(sample(context(), draws=[d], seed=0)) for d in (first, second))
    assert first.sampler == second.sampler  # the values they learned included
    assert one == other
