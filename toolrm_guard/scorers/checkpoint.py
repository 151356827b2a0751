"""A scorer from the folder of its model, whichever kind that is."""

import importlib
from pathlib import Path

from toolrm_guard.errors import ConfigurationError, MissingExtraError
from toolrm_guard.scorers.base import Scorer

_KINDS = {
    "disc.json": ("toolrm_guard.scorers.local", "local"),
    "calibration.json": ("toolrm_guard.scorers.lite", "lite"),
}
"""What a folder holds: (module, extra)."""


def from_folder(folder: str | Path) -> Scorer:
    """Return the scorer of a trained `lite` or of a ToolRM-Disc.

    Raises:
        ConfigurationError: If the folder holds neither.
        ModelIntegrityError: If the model is damaged.
        MissingExtraError: If its dependencies are not installed.
    """
    root = Path(folder)
    for name, (module, extra) in _KINDS.items():
        if not (root / name).is_file():
            continue
        try:
            home = importlib.import_module(module)
        except ModuleNotFoundError as exc:
            raise MissingExtraError(
                f"the model in {str(folder)!r} needs {exc.name!r}: "
                f"pip install 'toolrm-guard[{extra}]'"
            ) from exc
        made: Scorer = (
            home.LocalScorer(root)
            if extra == "local"
            else home.LiteScorer(home.LiteModel.load(root))
        )
        return made
    raise ConfigurationError(
        f"no model in {str(folder)!r}: a trained lite has 'calibration.json', a ToolRM-Disc "
        "'disc.json'"
    )
