from pathlib import Path
from typing import Any

import pytest

from toolrm_guard.errors import ConfigurationError
from training.preferences.__main__ import main
from training.preferences.config import check_entries, parse_config, read_config

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


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.name)
def test_the_options_of_every_recipe_are_known(path: Path) -> None:
    check_entries(read_config(path))


ENDPOINT = {"url": "http://127.0.0.1:9/v1", "model": "m"}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("perturb", {"cuont": 3}, "unknown option 'cuont'; did you mean 'count'?"),
        ("perturb", {"count": -1}, "count: Input should be greater than or equal to 1 (it is -1)"),
        ("perturb", {"count": "3"}, "count: Input should be a valid integer (it is '3')"),
        ("perturb", {"count": True}, "count"),
        ("perturb", {"without": ["value_trimed"]}, "is no edit; did you mean 'value_trimmed'?"),
        ("perturb", {"without": "no_call"}, "without"),
        ("perturb", {"pools": {}}, "unknown option 'pools'"),
        ("recorded", {"limit": -1}, "limit"),
        ("recorded", {"models": "gpt"}, "models"),
        ("embedded", {"max_tokens": 0}, "max_tokens"),
        ("embedded", {"temprature": 1.0}, "did you mean 'temperature'?"),
        ("endpoints", {"endpoints": [ENDPOINT], "cach": "x"}, "did you mean 'cache'?"),
        (
            "endpoints",
            {"endpoints": [{**ENDPOINT, "modl": "m"}], "cache": "x"},
            "endpoints.0.modl: unknown option; did you mean 'model'?",
        ),
        ("recordd", {}, "did you mean 'recorded'?"),
    ],
)
def test_a_wrong_option_of_a_sampler_is_found_before_anything_is_read(
    name: str, options: dict[str, Any], message: str
) -> None:
    config = parse_config({**LEAST, "samplers": [{"name": name, "options": options}]})
    with pytest.raises(ConfigurationError) as caught:
        check_entries(config, "c.toml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("c.toml: ")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("apigen_mt", {"sorce": "x"}, "unknown option 'sorce'; did you mean 'source'?"),
        ("labelled", {"licence": 3}, "licence: Input should be a valid string (it is 3)"),
        ("button", {"x": 1}, "it takes none"),
        ("labeled", {}, "did you mean 'labelled'?"),
    ],
)
def test_a_wrong_option_of_a_source_is_found_before_anything_is_read(
    name: str, options: dict[str, Any], message: str
) -> None:
    config = parse_config({**LEAST, "sources": [{"name": name, "options": options}]})
    with pytest.raises(ConfigurationError) as caught:
        check_entries(config)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("samplers", "workers", "message"),
    [
        ('[[samplers]]\nname = "perturb"\noptions = { cuont = 3 }\n', "1", "'count'"),
        ('[[samplers]]\nname = "recorded"\n', "0", "--workers is 0"),
        ('[[samplers]]\nname = "recorded"\n', "-1", "--workers is -1"),
    ],
)
def test_the_command_refuses_before_it_writes(
    samplers: str, workers: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "c.toml"
    (tmp_path / "a.jsonl").write_text("{}\n")
    config.write_text('[[sources]]\nname = "labelled"\npath = "a.jsonl"\n' + samplers)
    out = tmp_path / "out"
    arguments = ["build", "--config", str(config), "--out", str(out), "--workers", workers]
    assert main(arguments) == 2
    assert message in capfd.readouterr().err.replace("\n", " ")
    assert not out.exists()
