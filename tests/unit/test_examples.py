"""Each example prints what its docstring says, on a machine without network, GPU or key."""

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("[0-9]*.py"))
QUICK = [path for path in EXAMPLES if path.name != "07_improve.py"]
"""The loop of 07 runs an embedded model for minutes; `tests/training/test_improve.py` runs it on a
scripted one."""


def test_each_has_a_number_of_its_own() -> None:
    numbers = [path.name[:2] for path in EXAMPLES]
    assert len(numbers) == len(set(numbers)) >= 6


@pytest.mark.parametrize("path", QUICK, ids=lambda path: path.stem)
def test_an_example_prints_what_it_says(path: Path) -> None:
    said = ast.get_docstring(ast.parse(path.read_text())) or ""
    expected = textwrap.dedent(said.split("Prints:\n")[1]).strip()
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == expected
    assert done.stderr == ""
