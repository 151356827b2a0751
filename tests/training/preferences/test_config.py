from pathlib import Path
from typing import Any

import pytest

from toolrm_guard.errors import ConfigurationError
from training.preferences.config import parse_config, read_config

RECIPES = Path(__file__).parents[3] / "training/preferences/recipes"
LEAST: dict[str, Any] = {"sources": [{"name": "labelled"}], "samplers": [{"name": "recorded"}]}


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.name)
def test_every_recipe_can_be_read(path: Path) -> None:
    assert read_config(path).sources


def test_defaults_are_the_papers() -> None:
    config = parse_config(LEAST)
    assert (config.balance.target, config.split.validation) == (30_000, 500)
    assert (config.balance.bins, config.pairs.max_complexity) == (10, 50)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sede": 1}, "unknown key 'sede'; did you mean 'seed'?"),
        ({"balance": {"by_sources": True}}, "'balance.by_sources'; did you mean 'balance.by_sourc"),
        ({"sources": [{"name": "x", "pth": ""}]}, "'sources.pth'; did you mean 'sources.path'?"),
        ({"balance": {"target": 0}}, "balance.target"),
        ({"samplers": []}, "samplers"),
        ({"samplers": [{"name": "perturb"}, {"name": "recorded"}]}, "must stand first"),
        ({"balance": {"target": 9}}, "must be smaller"),
        ({"output": {"shapes": ["trl"]}}, "output.shapes"),
    ],
)
def test_a_mistake_names_key_and_remedy(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_config({**LEAST, **change}, "c.toml")
    assert message in str(caught.value)
    assert "c.toml" in str(caught.value)


def test_a_file_that_is_missing_or_no_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.toml"):
        read_config(tmp_path / "gone.toml")
    bad = tmp_path / "bad.toml"
    bad.write_bytes(b"a = \xff")
    with pytest.raises(ConfigurationError, match="not TOML"):
        read_config(bad)
