"""`toolrm-guard doctor` against a real server, compared with transformers in this process."""

import json
from typing import Any

import pytest

from tests.support.disc import disc_folder
from tests.vllm.servers import VllmProcess
from toolrm_guard.cli import main


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    for name in ("URL", "FOLDER", "MODEL", "API_KEY", "CA_FILE"):
        monkeypatch.setenv(f"TOOLRM_GUARD_VLLM_{name}", "")  # undone afterwards


def examined(server: VllmProcess, capsys: pytest.CaptureFixture[str], **more: str) -> Any:
    options = {
        "url": server.url,
        "model": server.model,
        "disc": str(server.folder),
        "reviews": "3",
        "deadline": "30",
        **more,
    }
    code = main(["doctor", "--json", *(f"--{name}={value}" for name, value in options.items())])
    checks = json.loads(capsys.readouterr().out)["checks"]
    return code, {check["name"]: check for check in checks}


def test_a_real_server_passes_and_its_rewards_equal_those_of_the_adapter_it_was_merged_from(
    disc_server: VllmProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = examined(disc_server, capsys, reference=str(disc_folder()))
    assert code == 0
    assert [found[name]["status"] for name in ("server", "cost", "reference")] == ["ok"] * 3
    assert found["reference"]["figures"]["widest"] < 1e-4


def test_another_name_is_told_from_a_real_server(
    disc_server: VllmProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = examined(disc_server, capsys, model="another")
    assert code == 1
    assert f"serves {disc_server.model!r}, not 'another'" in found["server"]["message"]
