"""`toolrm-guard doctor --url`: a real client against real HTTP, well and ill."""

import json
import math
import os
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from bench.stand_in.replies import MODEL, classify_reply, models_reply, unweighted_folder
from tests.support.critics import Model
from tests.support.serving import serving
from toolrm_guard.cli import main
from toolrm_guard.doctor import scoring

VARIABLES = ("URL", "FOLDER", "MODEL", "API_KEY", "CA_FILE")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    for name in VARIABLES:  # an empty one counts as none
        monkeypatch.setenv(f"TOOLRM_GUARD_VLLM_{name}", "")
    return unweighted_folder(tmp_path)


def well(body: dict[str, Any]) -> tuple[int, Any]:
    return 200, classify_reply(body) if body else models_reply(MODEL)


def examined(
    capsys: pytest.CaptureFixture[str], url: str, folder: Path, *more: str
) -> tuple[int, dict[str, Any]]:
    code = main(["doctor", "--url", url, "--disc", str(folder), "--reviews", "4", "--json", *more])
    return code, {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}


def test_a_server_that_is_well_passes_and_caches_do_not_flatter_its_cost(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    with serving(well) as server:
        code, found = examined(capsys, server.url, folder)
    assert code == 0
    assert found["server"]["status"] == found["cost"]["status"] == "ok"
    asked = [body for body in server.bodies if body.get("use_activation") is False]
    assert sum(len(body["input"]) for body in asked) >= 4 + 24 + 5 * 4  # probes, cases, reviews


def test_the_environment_of_a_caller_stays_as_it_was(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOOLRM_GUARD_VLLM_FOLDER")
    monkeypatch.setenv("TOOLRM_GUARD_VLLM_URL", "http://another:8000")
    before = dict(os.environ)
    examined(capsys, "http://127.0.0.1:9", folder)
    assert dict(os.environ) == before


def test_a_server_that_is_gone_fails_with_its_address(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    code, found = examined(capsys, "http://127.0.0.1:9", folder)
    assert code == 1
    assert "http://127.0.0.1:9 cannot be reached" in found["server"]["message"]
    assert found["server"]["remedy"] == "start the server, or correct --url"
    assert found["cost"]["status"] == "skip"


def test_another_model_fails_with_both_names(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    with serving(lambda _: (200, models_reply("other"))) as server:
        code, found = examined(capsys, server.url, folder)
    assert code == 1
    assert f"serves 'other', not {MODEL!r}" in found["server"]["message"]


def test_a_model_that_takes_too_little_fails_with_the_flag_to_change(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    with serving(lambda _: (200, models_reply(MODEL, max_model_len=512))) as server:
        code, found = examined(capsys, server.url, folder)
    assert code == 1
    assert "--max-model-len" in found["server"]["message"]


def test_a_server_that_squeezes_rewards_through_a_sigmoid_fails(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    def squeezing(body: dict[str, Any]) -> tuple[int, Any]:
        return well({**body, "use_activation": True} if body else body)

    with serving(squeezing) as server:
        code, found = examined(capsys, server.url, folder)
    assert code == 1
    assert "no raw logits" in " ".join(found["server"]["message"].split())


def test_a_model_without_pooling_fails_with_the_flags_it_needs(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    def generating(body: dict[str, Any]) -> tuple[int, Any]:
        return (404, {"detail": "Not Found"}) if body else (200, models_reply(MODEL))

    with serving(generating) as server:
        code, found = examined(capsys, server.url, folder)
    assert code == 1
    assert "--runner pooling" in found["server"]["message"]


def test_weights_that_answer_nan_fail(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    def damaged(body: dict[str, Any]) -> tuple[int, Any]:
        if not body:
            return 200, models_reply(MODEL)
        reply = classify_reply(body)
        for row in reply["data"]:
            row["probs"] = [math.nan]
        return 200, json.dumps(reply).replace("NaN", "null").encode()

    with serving(damaged) as server:
        code, found = examined(capsys, server.url, folder)
    assert code == 1
    assert "weights are damaged" in found["server"]["message"]


def test_a_slow_server_is_told_from_one_that_is_down(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    def slow(body: dict[str, Any]) -> tuple[int, Any]:
        if len(body.get("input", ())) == 4 and not body["use_activation"]:
            time.sleep(0.3)
        return well(body)

    with serving(slow) as server:
        code, found = examined(capsys, server.url, folder, "--deadline", "0.1")
    assert code == 1
    assert found["server"]["status"] == "ok"
    assert "none of 3 reviews was judged" in found["cost"]["message"]
    assert "--deadline" in found["cost"]["remedy"]


def test_a_server_that_never_answers_is_given_up(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "WAIT_S", 0.3)
    with serving(lambda _: None) as server:
        code, found = examined(capsys, server.url, folder)
    assert code == 1
    assert found["server"]["message"] == "no answer within 0.3 s"


def test_a_certificate_of_nobody_fails_until_its_authority_is_given(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    key, certificate = folder.parent / "key.pem", folder.parent / "cert.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    out = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(
        ["openssl", "req", "-x509", *curve, *out, *subject], check=True, capture_output=True
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with serving(well, tls) as server:
        code, found = examined(capsys, server.url, folder)
        assert code == 1
        assert "certificate" in found["server"]["message"].lower()
        assert "--ca FILE" in found["server"]["remedy"]
        code, found = examined(capsys, server.url, folder, "--ca", str(certificate))
    assert code == 0


def test_a_key_that_is_refused_fails_without_showing_it(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-hunter2")
    with serving(lambda _: (401, {"error": "no such key"})) as server:
        code = main(
            ["doctor", "--url", server.url, "--disc", str(folder), "--api-key-env", "MY_KEY"]
        )
    told = capsys.readouterr()
    assert code == 1
    assert "check the API key" in told.out
    assert "hunter2" not in told.out + told.err


def test_stored_rewards_of_a_server_equal_those_of_the_same_model_alone(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "reference.json"

    def retrained(body: dict[str, Any]) -> tuple[int, Any]:
        status, reply = well(body)
        for row in reply["data"] if body else ():
            row["probs"] = [row["probs"][0] + 0.5]
        return status, reply

    with serving(well) as server:
        assert examined(capsys, server.url, folder, "--save-reference", str(path))[0] == 0
        code, found = examined(capsys, server.url, folder, "--reference", str(path))
        assert (code, found["reference"]["status"]) == (0, "ok")
    with serving(retrained) as server:
        code, found = examined(capsys, server.url, folder, "--reference", str(path))
    assert code == 1
    assert found["reference"]["figures"]["widest"] == pytest.approx(0.5)


def test_a_critic_is_examined_by_what_it_answers(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("URL", "MODEL"):
        monkeypatch.setenv(f"TOOLRM_GUARD_CRITIC_{name}", "")
    with serving(Model()) as server:
        where = ["--url", server.url, "--model", "gen", "--reviews", "3"]
        assert main(["doctor", "--scorer", "critic", *where]) == 0
    told = capsys.readouterr().out
    assert "skip  server" in told
    assert "ok    cost" in told


def test_every_server_of_a_cascade_is_asked(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toolrm_guard import scorers
    from toolrm_guard.scorers.cascade import CascadeScorer
    from toolrm_guard.scorers.vllm import VllmScorer

    made = CascadeScorer("lite", VllmScorer("http://127.0.0.1:9", folder=folder), band=0.5)
    monkeypatch.setattr(scorers, "resolve", lambda _: made)
    assert main(["doctor", "--scorer", "cascade", "--reviews", "3"]) == 1
    assert "http://127.0.0.1:9 cannot be reached" in capsys.readouterr().out
