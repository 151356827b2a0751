from pathlib import Path

import pytest

from toolrm_guard.errors import ConfigurationError
from training.preferences.config import BuildConfig, parse_config
from training.preferences.inputs import find_inputs


def config(path: str | None, name: str = "labelled") -> BuildConfig:
    source = {"name": name, **({"path": path} if path else {})}
    return parse_config({"sources": [source], "samplers": [{"name": "recorded"}]})


def test_a_files_hash_follows_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("1")
    (one,) = find_inputs(config("a.jsonl"), tmp_path)
    (tmp_path / "a.jsonl").write_text("2")
    (two,) = find_inputs(config("a.jsonl"), tmp_path)
    assert one.sha256 != two.sha256
    assert (one.bytes, one.shown) == (1, "a.jsonl")


def test_a_folders_hash_follows_the_names_too(tmp_path: Path) -> None:
    folder = tmp_path / "packs"
    folder.mkdir()
    (folder / "a.jsonl").write_text("1")
    (one,) = find_inputs(config("packs"), tmp_path)
    (folder / "a.jsonl").rename(folder / "b.jsonl")
    (two,) = find_inputs(config("packs"), tmp_path)
    assert one.sha256 != two.sha256


def test_what_lies_on_the_hub_has_no_hash_and_says_so(tmp_path: Path) -> None:
    (own,) = find_inputs(config(None, "xlam_60k"), tmp_path)
    (named,) = find_inputs(config("owner/data", "xlam_60k"), tmp_path)
    assert (own.sha256, own.path, own.shown) == ("", None, "xlam_60k (hub)")
    assert (named.sha256, named.path) == ("", "owner/data")


@pytest.mark.parametrize(
    ("made", "message"),
    [(("gone.jsonl", "labelled"), "--data"), (("a", "no_such"), "known are")],
)
def test_what_cannot_be_found_names_the_remedy(
    made: tuple[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        find_inputs(config(*made), tmp_path)
