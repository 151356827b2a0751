from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.preferences.balance import (
    Chosen,
    balance,
    columns_of,
    intensity_bin,
    tie_break,
    water_fill,
)
from training.preferences.config import BalanceConfig

Row = tuple[str, float, int, bool, int, str]


def row(number: int, source: str = "a", intensity: float = 1.0, **changes: Any) -> Row:
    values = {"complexity": 1, "natural": False, "content": f"{number:016x}{0:016x}", **changes}
    order = tie_break(str(number), 0)
    content = values["content"]
    return source, intensity, values["complexity"], values["natural"], order, content


def sampled(rows: list[Row], target: int, **settings: Any) -> Chosen:
    return balance(columns_of(rows, 10), BalanceConfig(target=target, **settings))


def test_bins_are_open_below_and_closed_above() -> None:
    found = [intensity_bin(x, 10) for x in (0.01, 0.1, 0.1000001, 0.3, 0.7, 0.95, 1.0)]
    assert found == [0, 0, 1, 2, 6, 9, 9]


def test_water_finds_its_level() -> None:
    assert water_fill({"a": 1, "b": 10, "c": 10}, 9) == {"a": 1, "b": 4, "c": 4}
    assert water_fill({"a": 5, "b": 5}, 3) == {"a": 1, "b": 2}
    assert water_fill({"a": 2}, 9) == {"a": 2}
    assert water_fill({}, 9) == {}


@given(st.dictionaries(st.integers(), st.integers(0, 50), max_size=8), st.integers(0, 200))
def test_quotas_meet_the_total_and_never_exceed_a_group(sizes: dict[int, int], total: int) -> None:
    quotas = water_fill(sizes, total)
    assert sum(quotas.values()) == min(total, sum(sizes.values()))
    assert all(0 <= quotas[key] <= size for key, size in sizes.items())
    # No group gets less than another unless it has no more to give.
    full = [quotas[key] for key, size in sizes.items() if quotas[key] < size]
    assert not full or max(full) - min(full) <= 1
    assert not full or all(quotas[k] <= max(full) for k, size in sizes.items() if k not in full)


def test_sources_and_bins_get_the_same_share() -> None:
    rows = [row(i, "big", 1.0) for i in range(50)]
    rows += [row(100 + i, "big", 0.5) for i in range(50)]
    rows += [row(200 + i, "small", 1.0) for i in range(5)]
    chosen = sampled(rows, 25)
    assert chosen.groups == {"big|4": (50, 10), "big|9": (50, 10), "small|9": (5, 5)}


def test_without_a_dimension_it_is_not_balanced() -> None:
    rows = [row(i, "big") for i in range(90)] + [row(100 + i, "small") for i in range(10)]
    rows += [row(200 + i, "big", 0.5) for i in range(10)]

    def taken(**settings: bool) -> dict[str, int]:
        return {k: n for k, (_, n) in sampled(rows, 30, **settings).groups.items()}

    assert taken() == {"big|4": 10, "big|9": 10, "small|9": 10}
    assert taken(by_source=False)["big|4"] == 10
    assert taken(by_source=False)["small|9"] < 10
    assert taken(by_intensity=False)["small|9"] == 10
    assert taken(by_intensity=False)["big|4"] < 10
    chance = taken(by_source=False, by_intensity=False, by_complexity=False)
    assert chance["big|9"] > 18


def test_the_most_complex_pairs_come_first() -> None:
    rows = [row(i, complexity=i) for i in range(20)]
    assert sampled(rows, 3).rows.tolist() == [17, 18, 19]
    assert sampled(rows, 3, by_complexity=False).rows.tolist() != [17, 18, 19]


def test_a_pair_that_repeats_another_is_taken_once() -> None:
    rows = [row(i, content="f" * 32) for i in range(4)] + [row(9)]
    chosen = sampled(rows, 5)
    assert chosen.rows.tolist() == [0, 4]
    assert chosen.duplicates == 3


def test_the_least_share_of_natural_errors_is_met_if_there_are_enough() -> None:
    rows = [row(i, "edits") for i in range(100)]
    rows += [row(100 + i, "real", natural=True) for i in range(100)]
    rows += [row(200 + i, "real", 0.5) for i in range(100)]

    def natural(share: float) -> int:
        return int((sampled(rows, 30, min_natural_share=share).rows // 100 == 1).sum())

    assert natural(0.0) == 10
    assert natural(0.3) == 10
    assert natural(0.6) == 18
    short = sampled(rows[:100] + rows[200:] + rows[100:105], 50, min_natural_share=0.5)
    assert len(short.rows) == 50  # what is missing comes from the others


def test_the_order_of_sources_does_not_change_what_is_taken() -> None:
    rows = [row(i, "ab"[i % 2], complexity=i % 3) for i in range(40)]
    forward = {rows[i][4] for i in sampled(rows, 9, by_complexity=False).rows}
    backward = {rows[::-1][i][4] for i in sampled(rows[::-1], 9, by_complexity=False).rows}
    assert forward == backward


def test_chance_is_fair_and_the_seed_changes_it() -> None:
    counts = Counter(tie_break(str(i), 1) % 2 for i in range(1000))
    assert 400 < counts[0] < 600
    assert tie_break("a", 0) != tie_break("a", 1)


def test_nothing_gives_nothing() -> None:
    assert np.array_equal(sampled([], 5).rows, [])
