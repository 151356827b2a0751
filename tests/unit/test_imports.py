"""What loads what: the library is light until a name is used."""

import json
import subprocess
import sys

import pytest

import toolrm_guard


def modules_after(code: str) -> set[str]:
    script = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    output = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout
    return set(json.loads(output))


def test_importing_the_package_loads_nothing_third_party() -> None:
    before, after = modules_after(""), modules_after("import toolrm_guard")
    new = {name.partition(".")[0] for name in after - before}
    assert new - set(sys.stdlib_module_names) == {"toolrm_guard"}


def test_the_guard_loads_no_framework() -> None:
    loaded = modules_after("from toolrm_guard import Guard, Policy, FakeScorer, TraceStore")
    for heavy in ("langgraph", "langchain_core", "torch", "transformers", "lightgbm", "numpy"):
        assert heavy not in loaded


def test_the_lite_scorer_loads_no_torch() -> None:
    loaded = modules_after("from toolrm_guard import Guard; Guard('lite')")
    assert "lightgbm" in loaded
    assert "torch" not in loaded


@pytest.mark.parametrize("name", toolrm_guard.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(toolrm_guard, name) is not None
    assert name in dir(toolrm_guard)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Gaurd'"):
        _ = toolrm_guard.Gaurd  # type: ignore[attr-defined]


def test_a_missing_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['langgraph'] = None\n"
        "import toolrm_guard\n"
        "try: toolrm_guard.guard_node\n"
        "except ImportError as exc: print(exc)\n"
        "sys.exit(0)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "pip install 'toolrm-guard[langgraph]'" in output
