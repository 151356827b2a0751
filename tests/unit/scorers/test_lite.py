"""The shipped model ranks obvious cases right and refuses files that do not belong together."""

import json
import math
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolrm_guard.calls import Call, Candidate
from toolrm_guard.errors import InvalidScore, ModelIntegrityError
from toolrm_guard.messages import Message
from toolrm_guard.scorers.base import Explainer, Score, Scorer, ScoreRequest
from toolrm_guard.scorers.features import INPUTS, MONOTONE, NAMES
from toolrm_guard.scorers.lite import LiteModel, LiteScorer, inputs
from toolrm_guard.tools import Tool, ToolSet

WEATHER = Tool(
    name="get_weather",
    description="Get the weather forecast of a city for some days",
    parameters={
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "The city"},
            "days": {"type": "integer", "description": "Number of days"},
        },
        "required": ["city", "days"],
    },
)
MAIL = Tool(
    name="send_mail",
    description="Send an e-mail",
    parameters={
        "type": "object",
        "properties": {"to": {"type": "string"}},
        "required": ["to"],
    },
)


@pytest.fixture(scope="module")
def model() -> LiteModel:
    return LiteModel.load()


def weather(city: object, days: object) -> Candidate:
    return Candidate(calls=(Call(name="get_weather", arguments={"city": city, "days": days}),))


def request(
    *candidates: Candidate, text: str = "What's the weather in Oslo for the next 5 days?"
) -> ScoreRequest:
    return ScoreRequest(
        messages=(Message(role="user", text=text),),
        tools=ToolSet([WEATHER, MAIL]),
        candidates=candidates,
    )


@pytest.mark.parametrize(
    "wrong",
    [
        weather("Lima", 5),
        weather("Oslo", "5"),
        weather("Oslo", 50),
        Candidate(calls=(Call(name="get_weather", arguments={"city": "Oslo"}),)),
        Candidate(calls=(Call(name="send_mail", arguments={"to": "Oslo"}),)),
        Candidate(text="I cannot help with that."),
        Candidate(calls=(*weather("Oslo", 5).calls, *weather("Lima", 5).calls)),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_the_right_call_beats_a_wrong_one_at_either_place(
    model: LiteModel, wrong: Candidate, first: bool
) -> None:
    pair = (weather("Oslo", 5), wrong) if first else (wrong, weather("Oslo", 5))
    one, other = model.score(request(*pair))
    assert (one.reward > other.reward) is first
    assert (one.probability >= other.probability) is first


def test_silence_beats_a_call_where_no_tool_fits(model: LiteModel) -> None:
    text = "Who painted the Mona Lisa and in which century did he live?"
    call, silence = model.score(
        request(weather("Mona Lisa", 1), Candidate(text="Leonardo da Vinci."), text=text)
    )
    assert silence.reward > call.reward


def test_equal_candidates_get_equal_scores_and_findings_come_along(model: LiteModel) -> None:
    scores = model.score(request(weather("Oslo", "5"), weather("Oslo", 5), weather("Oslo", "5")))
    assert scores[0] == scores[2]
    assert [f.code for f in scores[0].findings] == ["wrong_type"]
    assert scores[1].findings == ()
    assert model.score(request()) == []


def test_candidates_that_all_agree_are_not_waved_through(model: LiteModel) -> None:
    wrong = weather("Lima", "soon")
    alone = model.score(request(wrong))[0]
    together = model.score(request(*[wrong] * 8))
    assert len({score.probability for score in together}) == 1
    agreement = model.calibration.agreement
    more = min(agreement.whole, agreement.most)
    assert more <= 1
    judged = model.calibration.probability(np.array([alone.reward + more]))
    assert together[0].probability == pytest.approx(float(judged[0]))
    assert together[0].probability < model.calibration.thresholds["write"]


def test_agreement_decides_between_calls_that_the_request_supports_alike(model: LiteModel) -> None:
    text = "Compare the weather in Oslo and Lima for the next 5 days"
    often, seldom = weather("Oslo", 5), weather("Lima", 5)
    scores = model.score(request(seldom, often, often, often, often, often, text=text))
    assert scores[1].reward > scores[0].reward


def test_what_pushed_a_call_down_is_said_as_warnings_beyond_its_findings(
    model: LiteModel,
) -> None:
    asked = request(weather("Oslo", 50))
    said = model.explain(asked, 0)
    assert said
    assert {f.code for f in said} == {"weak_evidence"}
    assert all(f.severity == "warning" and f.call is None for f in said)
    assert not set(said) & set(model.score(asked)[0].findings)
    assert isinstance(LiteScorer(model), Explainer)
    assert LiteScorer(model).explain(asked, 0) == said


CONSTRAINED = [i for i, sign in enumerate(MONOTONE) if sign]


@settings(max_examples=60, deadline=None)
@given(
    column=st.sampled_from(CONSTRAINED),
    more=st.floats(0.01, 4.0),
    days=st.integers(0, 9),
    city=st.sampled_from(["Oslo", "Lima", "", "<city>"]),
)
def test_what_can_only_hurt_never_helps_all_else_equal(
    model: LiteModel, column: int, more: float, days: int, city: str
) -> None:
    """A missing argument, a schema error, a value out of thin air: more of it, no higher reward."""
    asked = request(weather(city, days), weather("Oslo", 5))
    rows = inputs(asked, asked.finder)
    worse = rows.copy()
    worse[:, column] -= MONOTONE[column] * more
    assert (model.trees(worse) <= model.trees(rows) + 1e-9).all()


def test_leaving_a_required_argument_out_lowers_the_reward(model: LiteModel) -> None:
    """Each constrained column of a missing argument, set as it would be, and nothing else."""
    asked = request(weather("Oslo", 5))
    rows = inputs(asked, asked.finder)
    missing = rows.copy()
    for name in ("errors", "error_missing", "absent_required"):
        for column in (name, f"{name}_total", f"{name}_vs_others", f"{name}_total_vs_others"):
            if column in INPUTS:
                missing[:, INPUTS.index(column)] += 1
    assert model.trees(missing)[0] < model.trees(rows)[0]
    assert "error_missing" in NAMES
    one = Candidate(calls=(Call(name="get_weather", arguments={"city": "Oslo"}),))
    both = model.score(request(weather("Oslo", 5), one))
    assert both[1].reward < both[0].reward


def test_a_hostile_candidate_gets_a_finite_score(model: LiteModel) -> None:
    hostile = weather("<|im_end|>\ud800", float("nan"))
    (score,) = model.score(request(hostile))
    assert math.isfinite(score.reward)
    assert {"lone_surrogate", "control_text", "not_finite"} <= {f.code for f in score.findings}


async def test_the_scorer_follows_the_protocol() -> None:
    scorer = LiteScorer()
    assert isinstance(scorer, Scorer)
    assert scorer.name == "lite"
    assert set(scorer.thresholds) == {"read", "write", "destructive", "answer"}
    both = await scorer.score([request(weather("Oslo", 5))] * 2, None)
    assert [len(scores) for scores in both] == [1, 1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("model.txt", "calibration.json"):
        source = files("toolrm_guard") / "models" / "lite" / name
        shutil.copy(str(source), tmp_path / name)
    return tmp_path


def test_a_changed_model_file_is_refused_by_name_with_a_remedy(folder: Path) -> None:
    path = folder / "model.txt"
    path.write_bytes(path.read_bytes().replace(b"leaf_value=", b"leaf_value=9", 1))
    with pytest.raises(ModelIntegrityError, match=r"model\.txt has sha256 .*reinstall"):
        LiteModel.load(folder)


def test_other_features_bad_calibration_and_missing_files_are_refused(folder: Path) -> None:
    path = folder / "calibration.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, "features": [*whole["features"][:-1], "moon_phase"]}))
    with pytest.raises(ModelIntegrityError, match="moon_phase"):
        LiteModel.load(folder)
    path.write_text(json.dumps({**whole, "rewards": whole["rewards"][::-1]}))
    with pytest.raises(ModelIntegrityError, match="rewards must rise"):
        LiteModel.load(folder)
    path.unlink()
    with pytest.raises(ModelIntegrityError, match=r"calibration\.json"):
        LiteModel.load(folder)


@pytest.mark.parametrize(
    ("reward", "probability"),
    [(float("nan"), 0.5), (float("inf"), 0.5), (0.0, float("nan")), (0.0, 1.1), (0.0, -0.1)],
)
def test_a_score_that_is_no_number_is_refused(reward: float, probability: float) -> None:
    with pytest.raises(InvalidScore):
        Score(reward=reward, probability=probability)
