"""Folds leave whole sources out; a group of features that tells all is missed when it is gone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from toolrm_guard.scorers.features import FEATURES, GROUPS, NAMES
from training import lite_search
from training.lite_search import ablate, cross_validate, search, source_folds
from training.ranker import Table

GROUPS_OF = 90


def made(sources: tuple[str, ...] = ("a", "b", "c")) -> Table:
    """Return groups of one right and one wrong candidate; `numbers_loose` tells them apart."""
    groups = GROUPS_OF * len(sources)
    rng = np.random.default_rng(0)
    features = np.zeros((2 * groups, len(FEATURES)), dtype=np.float32)
    right = np.tile([True, False], groups)
    features[:, NAMES.index("numbers_loose")] = rng.normal(np.where(right, 0.0, 2.0), 1.0)
    features[:, NAMES.index("text_chars")] = rng.normal(size=2 * groups)
    return Table(
        features=features, right=right, calls=np.ones(2 * groups, dtype=np.int64),
        errors=np.where(right, "", "loose"), group=np.repeat(np.arange(groups), 2),
        source=np.repeat(np.array(sources), GROUPS_OF), kinds=np.full(groups, "edits"),
        pool=np.zeros(groups, dtype=np.bool_), agreement=np.zeros(2 * groups),
        copies=np.ones(2 * groups, dtype=np.int64),
    )  # fmt: skip


def test_each_source_is_in_one_fold_and_folds_are_of_similar_size() -> None:
    table = made(("a", "b", "c"))
    grown = replace(table, source=np.array(["a"] * 200 + ["b"] * 30 + ["c"] * 40))
    assert source_folds(grown, 2) == [["a"], ["c", "b"]]
    assert sorted(source for fold in source_folds(table, 10) for source in fold) == ["a", "b", "c"]


def test_what_tells_right_from_wrong_is_missed_and_noise_is_not() -> None:
    table = made()
    losses = ablate(table, 0, 10)
    assert set(losses) == set(GROUPS)
    assert losses["coverage"] < -0.2
    assert abs(losses["texts"]) < 0.1


def test_no_model_is_tested_on_a_source_that_it_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str]] = []
    real = lite_search.fit

    def spy(table: Table, *rest: Any, **settings: Any) -> object:
        seen.append(set(table.source.tolist()))
        return real(table, *rest, **settings)

    monkeypatch.setattr(lite_search, "fit", spy)
    assert (cross_validate(made(), 0, 5) > 0.7).all()
    assert seen == [{"b", "c"}, {"a", "c"}, {"a", "b"}]


def test_the_search_compares_every_point_with_the_first() -> None:
    table = search(made(), 0, 5, [{}, {"num_leaves": 2}])
    rows = table.splitlines()[2:]
    assert len(rows) == 2
    assert any("as it is" in row and "+0.0000" in row for row in rows)
    assert any("num_leaves 2" in row for row in rows)
