"""`toolrm-guard doctor` over the embedded scorer, and over scorers that are ill."""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from toolrm_guard import FakeScorer, ScoreRequest
from toolrm_guard.cli import main
from toolrm_guard.doctor import cases, scoring
from toolrm_guard.doctor.check import Check
from toolrm_guard.doctor.command import Plan, examine, render
from toolrm_guard.errors import ScorerUnavailable
from toolrm_guard.scorers.base import Scorer


def checks_of(scorer: Scorer, **options: object) -> dict[str, Check]:
    plan = Plan(scorer=lambda: scorer, reviews=4, **options)  # type: ignore[arg-type]
    return {check.name: check for check in asyncio.run(examine(plan))}


def at(path: Path) -> Callable[[], Awaitable[scoring.Reference]]:
    async def reference() -> scoring.Reference:
        return scoring.stored(path)

    return reference


def knowing(request: ScoreRequest) -> list[float]:
    """The first candidate of a built-in case is the right one."""
    return [0.9] + [0.1] * (len(request.candidates) - 1)


def test_the_embedded_scorer_is_well_and_its_cost_is_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    assert main(["doctor", "--reviews", "5", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["passed"]
    found = {check["name"]: check for check in told["checks"]}
    assert {name: check["status"] for name, check in found.items()} == {
        "extras": "ok",
        "scorer": "ok",
        "server": "skip",
        "ranking": "ok",
        "cost": "ok",
        "reference": "skip",
        "store": "skip",
        "otel": "skip",
    }
    cost = found["cost"]["figures"]
    assert cost["reviews"] == 5
    assert 0 < cost["p50_ms"] <= cost["p95_ms"] < 2000


def test_an_unknown_scorer_fails_and_what_needs_it_is_skipped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["doctor", "--scorer", "lit"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("fail  scorer") and "did you mean 'lite'?" in line for line in lines)
    assert sum("the scorer failed first" in line for line in lines) == 4


def test_a_key_that_is_not_there_is_said_before_a_server_is_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["doctor", "--url", "http://localhost:1", "--api-key-env", "NO_SUCH_KEY"]) == 1
    assert "--api-key-env NO_SUCH_KEY: there is no such variable" in capsys.readouterr().out


def test_a_scorer_that_answers_nan_fails() -> None:
    found = checks_of(FakeScorer(lambda request: [math.nan] * len(request.candidates)))
    assert found["ranking"].status == "fail"
    assert "InvalidScore" in found["ranking"].message
    assert found["cost"].status == "fail"
    assert "none of 3 reviews was judged" in found["cost"].message


def test_a_scorer_that_gives_every_candidate_the_same_fails() -> None:
    found = checks_of(FakeScorer(lambda request: [0.5] * len(request.candidates)))
    assert found["ranking"].status == "fail"
    assert "the same reward, 0.5" in found["ranking"].message


def test_a_scorer_that_ranks_upside_down_is_told_but_does_not_fail() -> None:
    found = checks_of(FakeScorer(lambda request: [1 - p for p in knowing(request)]))
    assert found["ranking"].status == "warn"
    assert found["ranking"].figures["right_first"] == 0


def test_a_slow_scorer_misses_the_deadline_and_is_not_waited_for_over_and_over() -> None:
    async def rate(request: ScoreRequest) -> list[float]:
        await asyncio.sleep(0.2 if "My request" in request.messages[-1].text else 0)
        return knowing(request)

    plan = Plan(scorer=lambda: FakeScorer(rate), reviews=1000, deadline_s=0.05)
    found = {check.name: check for check in asyncio.run(examine(plan))}
    assert found["cost"].status == "fail"
    assert "none of 3 reviews was judged" in found["cost"].message
    assert "ScorerTimeout" in found["cost"].message
    assert "--deadline" in found["cost"].remedy


def test_reviews_that_are_sometimes_late_are_a_warning_with_their_share() -> None:
    async def rate(request: ScoreRequest) -> list[float]:
        await asyncio.sleep(0.5 if "no. 3." in request.messages[-1].text else 0)
        return knowing(request)

    found = checks_of(FakeScorer(rate), deadline_s=0.25)
    assert found["cost"].status == "warn"
    assert found["cost"].message.startswith("1 of 4 reviews were not judged (ScorerTimeout")


def test_an_outage_is_told_with_its_reason() -> None:
    def rate(request: ScoreRequest) -> list[float]:
        raise ScorerUnavailable("http://ann:secret@host:8000 cannot be reached: refused")

    found = checks_of(FakeScorer(rate))
    assert found["ranking"].status == found["cost"].status == "fail"
    assert "http://host:8000 cannot be reached" in found["cost"].message
    assert "start the server" in found["cost"].remedy
    assert "secret" not in render(list(found.values()), colour=False)


class Served(FakeScorer):
    """A scorer with a server, as the doctor sees one."""

    def __init__(self, answer: Callable[[], None]) -> None:
        super().__init__(knowing)
        self.answer = answer
        self.closed = False

    async def check(self) -> None:
        self.answer()

    async def aclose(self) -> None:
        self.closed = True


def test_a_server_that_is_not_there_fails_and_nothing_more_is_asked_of_it() -> None:
    def answer() -> None:
        raise ScorerUnavailable("http://host:8000 cannot be reached: refused")

    scorer = Served(answer)
    found = checks_of(scorer)
    assert found["server"].status == "fail"
    assert found["server"].remedy == "start the server, or correct --url"
    assert [found[name].status for name in ("ranking", "cost", "reference")] == ["skip"] * 3
    assert scorer.closed


def test_a_server_that_is_well_is_closed_at_the_end() -> None:
    scorer = Served(lambda: None)
    assert checks_of(scorer)["server"].status == "ok"
    assert scorer.closed


def test_stored_rewards_equal_the_scorer_that_gave_them_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    found = checks_of(FakeScorer(knowing), save_reference=path)
    assert found["reference"].message == f"wrote {path}"
    same = checks_of(FakeScorer(knowing), reference=at(path))
    assert same["reference"].status == "ok"
    assert same["reference"].figures == {"widest": 0.0, "flipped": 0.0}

    def off(request: ScoreRequest) -> list[float]:
        return [0.9, 0.1, 0.1, 0.95]

    other = checks_of(FakeScorer(off), reference=at(path))
    assert other["reference"].status == "fail"
    assert other["reference"].figures["widest"] == pytest.approx(0.85)
    assert other["reference"].figures["flipped"] == len(cases.CASES)
    near = checks_of(FakeScorer(off), reference=at(path), tolerance=0.9)
    assert near["reference"].status == "ok"


@pytest.mark.parametrize("content", [None, "", "{}", '{"format": 2}'])
def test_a_reference_that_cannot_be_read_fails_with_the_command_that_makes_one(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "reference.json"
    if content is not None:
        path.write_text(content)
    found = checks_of(FakeScorer(knowing), reference=at(path))
    assert found["reference"].status == "fail"
    assert "--save-reference FILE" in found["reference"].message


def test_a_reference_of_other_cases_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    checks_of(FakeScorer(knowing), save_reference=path)
    path.write_text(path.read_text().replace(cases.digest(scoring.requests()), "0" * 64))
    found = checks_of(FakeScorer(knowing), reference=at(path))
    assert "other cases" in found["reference"].message


def test_a_reference_that_cannot_be_written_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "folder.json"
    plan = Plan(scorer=lambda: FakeScorer(knowing), reviews=1, save_reference=path)
    last = [check for check in asyncio.run(examine(plan)) if check.name == "reference"][-1]
    assert last.status == "fail"
    assert str(path) in last.message


def test_no_two_measured_reviews_have_the_same_prompt() -> None:
    seen: list[str] = []

    def rate(request: ScoreRequest) -> list[float]:
        seen.append(f"{request.messages} {request.candidates}")
        return knowing(request)

    checks_of(FakeScorer(rate))
    measured = seen[len(cases.CASES) :]
    assert len(measured) == len(set(measured)) == 5  # four, and the first


def test_text_is_a_line_a_check_with_its_remedy_below() -> None:
    checks = [
        Check(name="server", status="fail", message="gone", remedy="start it"),
        Check(name="store", status="ok", message="3 reviews"),
    ]
    assert render(checks, colour=False) == (
        "fail  server     gone\n                 -> start it\nok    store      3 reviews"
    )
    assert "\x1b[31mfail\x1b[0m" in render(checks, colour=True)
