"""The result files of a BFCL run, whatever its generation.

    <root>/result/<model>/BFCL_v3_<category>_result.json                          v1 to v3
    <root>/result/<model>/<group>/BFCL_v4_<category>_result.json                  v4

`<root>` may be the folder `result` itself.
"""

from dataclasses import dataclass
from pathlib import Path

from toolrm_guard.bfcl.categories import FileName
from toolrm_guard.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    """One model's outputs for one category.

    Attributes:
        model: The name of its folder.
        name: Generation and category.
    """

    model: str
    name: FileName
    path: Path


def result_folder(root: Path) -> Path:
    """Return the folder that holds one folder a model.

    Raises:
        ConfigurationError: If there is no such folder.
    """
    inner = root / "result"
    folder = inner if inner.is_dir() else root
    if not folder.is_dir() or (folder is root and root.name != "result"):
        raise ConfigurationError(
            f"no BFCL results at {str(root)!r}: there is no folder `result` in it; give the folder "
            "that `bfcl generate` wrote, or a copy of it"
        )
    return folder


def find_results(root: Path) -> list[ResultFile]:
    """Return the result files below a folder by path; files of other names are no results.

    Raises:
        ConfigurationError: If the folder is not one of results.
    """
    folder = result_folder(root)
    found = []
    for path in sorted(folder.rglob("*_result.json")):
        name = FileName.parse(path.name)
        parts = path.relative_to(folder).parts
        if name is not None and name.kind == "result" and len(parts) > 1:
            found.append(ResultFile(model=parts[0], name=name, path=path))
    return found
