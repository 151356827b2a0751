"""A folder says by its files which scorer it is; a Disc folder replays a store like any other."""

import json
from pathlib import Path

import pytest

from tests.support.disc import sealed, tiny_folder
from tests.support.stores import many, stored
from toolrm_guard.cli import main
from toolrm_guard.errors import ConfigurationError, ModelIntegrityError
from toolrm_guard.scorers.checkpoint import from_folder

LITE = Path(__file__).parents[3] / "toolrm_guard" / "models" / "lite"


@pytest.fixture(scope="module")
def disc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sealed(tiny_folder(tmp_path_factory.mktemp("disc") / "tiny"))


def test_a_folder_of_lite_and_one_of_a_disc_are_told_apart(disc: Path) -> None:
    assert from_folder(LITE).name == "lite"
    assert from_folder(disc).name == "local"


def test_a_disc_folder_replays_a_store(disc: Path, tmp_path: Path) -> None:
    store = stored(tmp_path / "t.db", *many(4))
    out = tmp_path / "r.json"
    assert main(["replay", store, "--checkpoint", str(disc), "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert (found["reviews"], found["judged"], found["unjudged"]) == (4, 4, {})
    assert found["scorer"].startswith("local ")


def test_what_is_no_model_or_a_damaged_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no model in .*'calibration.json'.*'disc.json'"):
        from_folder(tmp_path)
    (tmp_path / "calibration.json").write_text("{}")
    (tmp_path / "model.txt").write_text("tree")
    with pytest.raises(ModelIntegrityError):
        from_folder(tmp_path)
