"""The README's example prints what the README says."""

import contextlib
import io
import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_example_prints_what_stands_below_it() -> None:
    text = README.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```\n```\n(.*?)```", text, re.S)
    assert len(blocks) == 1
    for code, expected in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(README), "exec"), {})
        assert printed.getvalue() == expected


def test_every_folder_of_the_file_map_exists() -> None:
    text = README.read_text(encoding="utf-8")
    listed = re.findall(r"^(\w+)/  ", text, re.M)
    assert len(listed) >= 5
    assert all((README.parent / folder).is_dir() for folder in listed)
