import random

from hypothesis import given, settings
from hypothesis import strategies as st

from training.preferences.pairs import Link
from training.preferences.split import split


def link(number: int, prompt: str, toolset: str, group: str, source: str = "s") -> Link:
    return Link(
        id=str(number), source=source, chosen=0, rejected=1, intensity=1.0, complexity=1,
        natural=True, prompt=prompt, toolset=toolset, group=group, content=str(number),
    )  # fmt: skip


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 12))
def test_no_prompt_toolset_or_group_stands_on_both_sides(
    seed: int, size: int, variety: int
) -> None:
    rng = random.Random(seed)
    links = [
        link(i, *(f"{k}{rng.randrange(variety * 3)}" for k in "ptg"), source=rng.choice("xy"))
        for i in range(size)
    ]
    made = split(links, size // 3, seed)
    assert made.sides.count("validation") <= size // 3
    for key in ("prompt", "toolset", "group"):
        sides: dict[str, set[str]] = {}
        for row, side in zip(links, made.sides, strict=True):
            sides.setdefault(getattr(row, key), set()).add(side)
        assert all(len(found) == 1 for found in sides.values())


def test_a_chain_of_shared_keys_is_one_component() -> None:
    links = [link(0, "p0", "t0", "g0"), link(1, "p1", "t0", "g1"), link(2, "p1", "t2", "g2")]
    made = split(links, 2, 0)
    assert made.components == 1
    assert made.sides == ("train",) * 3
    assert made.largest == (3, ("s",))
    assert made.without_validation == {"s": 3}


def test_pairs_without_tools_do_not_hang_together() -> None:
    links = [link(i, f"p{i}", "", f"g{i}") for i in range(6)]
    made = split(links, 3, 0)
    assert made.components == 6
    assert made.sides.count("validation") == 3


def test_each_source_is_held_out_for_its_share() -> None:
    links = [link(i, f"p{i}", "", f"g{i}", "big") for i in range(80)]
    links += [link(100 + i, f"q{i}", "", f"h{i}", "small") for i in range(20)]
    made = split(links, 10, 0)
    held = [row.source for row, side in zip(links, made.sides, strict=True) if side != "train"]
    assert (held.count("big"), held.count("small")) == (8, 2)


def test_the_split_follows_the_seed() -> None:
    links = [link(i, f"p{i}", "", f"g{i}") for i in range(40)]
    assert split(links, 10, 1) == split(links, 10, 1)
    assert split(links, 10, 1) != split(links, 10, 2)


def test_nothing_can_be_split() -> None:
    assert split([], 5, 0).sides == ()
