"""Facts of a run say what was run on what, and nothing about where."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import runs


def test_facts_name_command_data_machine_and_seed(tmp_path: Path) -> None:
    data = tmp_path / "pairs.jsonl"
    data.write_text("{}\n")
    facts = runs.describe([data], 7, command=["python", "-m", "bench.x", "--n", "3"])
    assert facts["command"] == "python -m bench.x --n 3"
    assert facts["seed"] == 7
    assert isinstance(facts["data"], dict)
    assert set(facts["data"]) == {"pairs.jsonl"}
    assert len(facts["data"]["pairs.jsonl"]) == 64
    assert str(facts["at"]).endswith("+00:00")
    assert {"cores", "cpu", "memory_gb", "load", "python", "versions"} == set(runs.machine())


def test_no_absolute_path_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    inside, outside = tmp_path / "sub" / "a.json", tmp_path.parent / "b.json"
    inside.parent.mkdir()
    for path in (inside, outside):
        path.write_text("1")
    command = ["python", str(inside), f"--json={outside}", "--url", "http://localhost:8000/v1"]
    facts = runs.describe([inside, outside], None, command=command)
    assert facts["command"] == "python sub/a.json --json=b.json --url http://localhost:8000/v1"
    assert str(tmp_path.parent) not in json.dumps(facts)


def test_the_command_of_a_module_is_what_was_typed(tmp_path: Path) -> None:
    code = "from bench import runs; print(runs.describe([], None)['command'])"
    root = Path(runs.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code, "x"], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("python -c ")


def test_files_of_one_name_are_both_hashed(tmp_path: Path) -> None:
    paths = [tmp_path / folder / "r.jsonl" for folder in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        path.write_text(path.parent.name)
    hashes = runs.describe(paths, None)["data"]
    assert isinstance(hashes, dict)
    assert set(hashes) == {"r.jsonl", "b/r.jsonl"}
    assert len(set(hashes.values())) == 2


def test_a_folder_has_one_hash_that_changes_with_any_file(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "a.json").write_text("1")
    before = runs.describe([folder], None)["data"]
    (folder / "a.json").rename(folder / "b.json")
    assert runs.describe([folder], None)["data"] != before


def test_a_number_that_is_not_finite_is_refused_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "out.json"
    runs.write(path, {"accuracy": 0.5})
    with pytest.raises(ValueError, match="JSON compliant"):
        runs.write(path, {"accuracy": float("nan")})
    assert json.loads(path.read_text()) == {"accuracy": 0.5}
    assert [p.name for p in path.parent.iterdir()] == ["out.json"]


def test_a_write_that_fails_leaves_no_partial_file(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    target.mkdir()
    (target / "keep").write_text("x")
    with pytest.raises(OSError, match=r"out\.json"):
        runs.write(target, {"a": 1})
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]
