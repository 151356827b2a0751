"""The adapters on original records, where the project's data folder stands beside the checkout."""

import json
from pathlib import Path

import pytest

from tests.training.sources.made import lines, taken
from toolrm_guard.tools import ToolSet

FORMATS = Path(__file__).resolve().parents[4] / "shared" / "data" / "formats"
pytestmark = pytest.mark.skipif(
    not FORMATS.is_dir(), reason="the samples in ../shared/data/formats are not here"
)


@pytest.mark.parametrize(
    ("name", "sample", "kept", "dropped"),
    [
        ("xlam_60k", "xlam_60k", 1, []),
        ("apigen_mt", "glaive_sharegpt_conversion", 6, []),
        ("hermes_fc_v1", "hermes_fc_v1", 1, []),
        ("glaive_fc_v2", "glaive_fc_v2", 1, ["no_tools"]),
        ("complexfuncbench", "complexfuncbench", 5, []),
        ("toolalpaca", "toolalpaca", 33, ["needs_result"] * 13),
    ],
)
def test_original_records_are_read(name: str, sample: str, kept: int, dropped: list[str]) -> None:
    rows, lost = taken(name, str(FORMATS / f"{sample}.json"))
    assert (len(rows), [item.reason for item in lost]) == (kept, dropped)
    for row in rows:
        offered = ToolSet.of(list(row.tools))
        calls = [call for message in row.messages for call in message.get("tool_calls", ())]
        assert {call["name"] for call in calls} <= set(offered)
        # Text references exist, but every sample has at least one call or question.
        assert row.messages[-1]["role"] == "assistant"


def test_original_result_lines_are_decoded(tmp_path: Path) -> None:
    samples = json.loads((FORMATS / "bfcl_results.json").read_text())
    prefixes = {"v1_result": "gorilla_openfunctions_v1_test", "v3_result": "BFCL_v3"}
    prompts = tmp_path / "prompts"
    (prompts / "possible_answer").mkdir(parents=True)
    ids: dict[str, set[str]] = {}
    for part, prefix in prefixes.items():
        for key, rows in samples[part].items():
            model, category = key.split("/")
            folder = tmp_path / "run" / "result" / model
            folder.mkdir(parents=True, exist_ok=True)
            lines(folder / f"{prefix}_{category}_result.json", *rows)
            ids.setdefault(f"{prefix}_{category}.json", set()).update(row["id"] for row in rows)
    for file, keys in ids.items():
        # The prompts are not part of the sample: what counts here is the models' notation.
        made = {"question": "?", "function": [{"name": "triangle_properties.get"}]}
        lines(prompts / file, *({"id": key, **made} for key in sorted(keys)))
        truth = [{"id": key, "ground_truth": []} for key in sorted(keys)]
        lines(prompts / "possible_answer" / file, *truth)
    rows, lost = taken("bfcl_results", str(tmp_path / "run"), prompts=str(prompts))
    assert not lost
    assert len(rows) == 8
    assert all(response.calls for row in rows for response in row.recorded)
