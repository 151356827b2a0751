"""An API key is in no file and no message, whatever a server sends back."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training.samplers.made import context
from tests.training.samplers.serving import serving, turn
from tests.training.sources.made import BAKE, CALL, lines
from toolrm_guard.errors import ConfigurationError
from training.preferences.__main__ import main
from training.preferences.samplers import make
from training.preferences.samplers.endpoint import EndpointSettings

KEY = "sk-VERY/SECRET-0123456789"
CONFIG = """
[[sources]]
name = "openai_jsonl"
path = "rows.jsonl"
[[samplers]]
name = "endpoints"
[samplers.options]
cache = "{cache}"
count = 1
endpoints = [{{ url = "{url}", model = "m", api_key_env = "POOL_TEST_KEY" }}]
patience = {{ attempts = 1, timeout_s = 5.0, backoff_s = 0.01 }}
[[samplers]]
name = "perturb"
[balance]
target = 100
[split]
validation = 1
[output]
shapes = ["pointwise"]
"""


def called(arguments: str) -> bytes:
    call = {"function": {"name": "bake", "arguments": arguments}}
    return json.dumps({"choices": [{"message": {"tool_calls": [call]}}]}).encode()


def escaped(reply: bytes) -> bytes:
    return reply.replace(b"/", b"\\/").replace(b"SECRET", b"\\u0053ECRET")


REPLIES: dict[str, Callable[[], tuple[int, bytes]]] = {
    "cut in a client error": lambda: (400, b"x" * 185 + KEY.encode()),
    "cut in garbage": lambda: (200, b"y" * 65 + KEY.encode()),
    "cut in a server error": lambda: (500, b"z" * 190 + KEY.encode()),
    "echoed as text": lambda: (200, turn(text=f"Your key is Bearer {KEY}.")),
    "echoed with escapes": lambda: (200, escaped(turn(text=f"Your key is {KEY}."))),
    "echoed as an argument": lambda: (200, called(json.dumps({"what": KEY}))),
    "a line end behind it": lambda: (200, turn(text="Hello.")),
    "in a malformed call": lambda: (200, called("{" + KEY)),
}


def build(tmp_path: Path, reply: tuple[int, bytes]) -> tuple[int, int]:
    tools = [{"type": "function", "function": BAKE}]
    answer = {"role": "assistant", "content": None, "tool_calls": [
        {"id": "1", "type": "function",
         "function": {"name": "bake", "arguments": json.dumps(CALL["arguments"])}}
    ]}  # fmt: skip
    rows = [
        {"messages": [{"role": "user", "content": f"Bake bread, {n}."}, answer], "tools": tools}
        for n in range(3)
    ]
    lines(tmp_path / "rows.jsonl", *rows)
    with serving(lambda number, _: (reply[0], {}, reply[1])) as server:
        text = CONFIG.format(cache=tmp_path / "replies.db", url=server.url)
        (tmp_path / "c.toml").write_text(text)
        out = str(tmp_path / "out")
        arguments = ["--config", str(tmp_path / "c.toml"), "--out", out, "--workers", "1"]
        return main(["build", *arguments]), len(server.bodies)


@pytest.mark.parametrize("case", REPLIES)
def test_a_build_keeps_the_key_nowhere(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POOL_TEST_KEY", KEY + ("\n" if case == "a line end behind it" else ""))
    code, asked = build(tmp_path, REPLIES[case]())
    said = "".join(capfd.readouterr())
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    for secret in ("SECRET", "sk-VERY"):
        assert secret not in said
        assert [f.name for f in written if secret.encode() in f.read_bytes()] == []
    assert (code in (0, 1), asked >= 1, len(written) > 5) == (True, True, True)


def test_a_line_end_behind_the_key_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POOL_TEST_KEY", f" {KEY}\r\n")
    settings = EndpointSettings(url="http://h/v1", model="m", api_key_env="POOL_TEST_KEY")
    assert settings.key() == KEY


@pytest.mark.parametrize("bad", [f"{KEY}\nX: y", f"{KEY}\u00e9", f"{KEY}\x7f", " \n"])
def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(
    bad: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POOL_TEST_KEY", bad)
    settings = EndpointSettings(url="http://h/v1", model="m", api_key_env="POOL_TEST_KEY")
    with pytest.raises(ConfigurationError, match="POOL_TEST_KEY") as caught:
        settings.key()
    assert "SECRET" not in str(caught.value)


def test_a_key_in_place_of_the_name_of_its_variable_is_not_shown() -> None:
    one = {"url": "http://h/v1", "model": "m", "api_key_env": "sk-VERY-SECRET"}
    with pytest.raises(ConfigurationError, match="api_key_env") as caught:
        make("endpoints", {"endpoints": [one], "cache": "unused.db"})
    assert "SECRET" not in str(caught.value)


def test_a_placeholder_is_no_secret_and_stays_in_replies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POOL_TEST_KEY", "EMPTY")
    with serving(lambda number, _: (200, {}, turn(text="The basket is EMPTY."))) as server:
        one = {"url": server.url, "model": "m", "api_key_env": "POOL_TEST_KEY"}
        pool = make("endpoints", {"endpoints": [one], "cache": str(tmp_path / "c.db"), "count": 1})
        (response,) = pool.sample(context(), 0)
    assert response.text == "The basket is EMPTY."
