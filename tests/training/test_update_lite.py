"""Retraining lite on traces: trees go on, the map moves a little, promotion has a way back."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.stores import many, stored
from toolrm_guard.cli import main
from toolrm_guard.errors import ConfigurationError, ModelIntegrityError
from toolrm_guard.labelled import read_records
from toolrm_guard.scorers.lite import LiteModel
from training import promotion, update_lite
from training.update_lite import fit_map, mapped


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traces")
    store = stored(folder / "t.db", *many(12, talks=6))
    out = folder / "own.jsonl"
    assert main(["harvest", store, "--shape", "pointwise", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def candidate(traces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("candidate") / "model"
    assert update_lite.main(["--traces", str(traces), "--out", str(folder)]) == 0
    return folder


def test_the_shipped_trees_go_on_and_the_new_model_loads(candidate: Path) -> None:
    shipped, grown = LiteModel.load(), LiteModel.load(candidate)
    assert grown.text.count("Tree=") == shipped.text.count("Tree=") + update_lite.MORE
    assert grown.calibration.thresholds == shipped.calibration.thresholds
    assert grown.calibration.fingerprint != shipped.calibration.fingerprint
    card = (candidate / "MODEL_CARD.md").read_text()
    assert shipped.calibration.model_sha256[:12] in card
    assert "held out in turn" in card


def test_the_same_traces_and_seed_give_the_same_model(traces: Path, tmp_path: Path) -> None:
    records = read_records(traces)
    first, second = (update_lite.continued(records, None, seed=3) for _ in range(2))
    assert first.text == second.text
    assert first.calibration == second.calibration


def test_traces_without_a_wrong_candidate_are_refused(traces: Path) -> None:
    only = [
        record.model_copy(
            update={
                "reference": None,
                "candidates": tuple(c for c in record.candidates if c.correct),
            }
        )
        for record in read_records(traces)
    ]
    with pytest.raises(ConfigurationError, match="no right beside a wrong candidate"):
        update_lite.continued(only, None, seed=0)


def test_a_file_that_is_no_harvest_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "own.jsonl"
    bad.write_text('{"id": 1}\n')
    assert update_lite.main(["--traces", str(bad), "--out", str(tmp_path / "m")]) == 1
    assert "own.jsonl:1" in capsys.readouterr().err


def test_the_map_moves_towards_the_labels_and_no_further() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.95, 4_000)
    honest = rng.random(4_000) < p
    shift, stretch = fit_map(p, honest, np.ones(4_000))
    assert abs(shift) < 0.1
    assert stretch == pytest.approx(1.0, abs=0.1)
    # Labels from log-odds that are shifted by 1 and half as steep.
    wanted = mapped(p, 1.0, 0.5)
    shift, stretch = fit_map(p, rng.random(4_000) < wanted, np.ones(4_000))
    assert shift == pytest.approx(1.0, abs=0.15)
    assert stretch == pytest.approx(0.5, abs=0.1)
    few, _ = fit_map(p[:10], np.ones(10, dtype=bool), np.ones(10))
    assert 0 < few < 1.0, "ten labels are no proof"


def test_the_map_always_rises() -> None:
    p = np.linspace(0.01, 0.99, 50)
    shift, stretch = fit_map(p, p < 0.5, np.full(50, 1e6))
    assert stretch > 0
    assert np.all(np.diff(mapped(p, shift, stretch)) >= 0)


def test_promotion_keeps_the_old_model_and_rollback_brings_it_back(
    candidate: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    assert promotion.main([str(models), "--promote", str(candidate)]) == 0
    current = models / "current"
    new = LiteModel.load(candidate).calibration.fingerprint
    old = LiteModel.load().calibration.fingerprint
    assert LiteModel.load(current).calibration.fingerprint == new
    assert promotion.main([str(models), "--rollback"]) == 0
    assert LiteModel.load(current).calibration.fingerprint == old
    assert promotion.rollback(models).name == "lite-1", "a second rollback undoes the first"
    assert promotion.promote(candidate, models).name == "lite-2"
    assert sorted(p.name for p in models.iterdir()) == [
        "current", "lite-0", "lite-1", "lite-2", "previous"
    ]  # fmt: skip


def test_a_damaged_candidate_is_never_promoted(candidate: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    promotion.promote(candidate, models)
    broken = tmp_path / "broken"
    broken.mkdir()
    calibration = json.loads((candidate / "calibration.json").read_text())
    (broken / "calibration.json").write_text(json.dumps(calibration))
    (broken / "model.txt").write_text("half a mod")
    with pytest.raises(ModelIntegrityError):
        promotion.promote(broken, models)
    assert promotion.current(models) == models / "lite-1"
    assert not [path for path in models.iterdir() if path.name.startswith(".")]


def test_without_a_promotion_there_is_no_way_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert promotion.main([str(tmp_path), "--rollback"]) == 1
    assert "nothing was promoted" in capsys.readouterr().err


def test_with_the_packs_the_traces_are_one_more_source(traces: Path, tmp_path: Path) -> None:
    def renamed(source: str) -> list[str]:
        rows = [json.loads(line) for line in traces.read_text().splitlines()]
        return [json.dumps({**r, "id": f"{source}{r['id']}", "source": source}) for r in rows]

    packs = tmp_path / "packs"
    packs.mkdir()
    for source in ("one", "two"):
        (packs / f"{source}.jsonl").write_text("\n".join(renamed(source)))
    flags = ["--data", str(packs), "--rounds", "5", "--fold-rounds", "3", "--cap", "20"]
    out = tmp_path / "model"
    assert update_lite.main(["--traces", str(traces), "--out", str(out), *flags]) == 0
    assert LiteModel.load(out).text.count("Tree=") == 5
    assert "the traces as one of 3 sources" in (out / "MODEL_CARD.md").read_text()
