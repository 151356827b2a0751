"""Scorers by name. A name loads its module, and with it its dependencies, only when asked for."""

import difflib
import importlib

from toolrm_guard.errors import MissingExtraError, UnknownScorerError
from toolrm_guard.scorers.base import Scorer

_REGISTERED = {
    "cascade": ("toolrm_guard.scorers.cascade", "from_environment", "lite"),
    "critic": ("toolrm_guard.scorers.critic", "CriticScorer", "vllm"),
    "lite": ("toolrm_guard.scorers.lite", "LiteScorer", "lite"),
    "local": ("toolrm_guard.scorers.local", "LocalScorer", "local"),
    "vllm": ("toolrm_guard.scorers.vllm", "VllmScorer", "vllm"),
}
"""Name to (module, what makes it, the extra that brings its dependencies)."""


def resolve(scorer: str | Scorer) -> Scorer:
    """Return the scorer of that name, ready to score; a scorer object is returned as it is.

    Raises:
        UnknownScorerError: If no scorer has that name, or the object is not one.
        MissingExtraError: If its dependencies are not installed.
        ModelIntegrityError: If its model files are damaged.
    """
    if not isinstance(scorer, str):
        if isinstance(scorer, Scorer):
            return scorer
        raise UnknownScorerError(
            f"{type(scorer).__name__} is not a scorer: it needs name, thresholds and async score()"
        )
    if scorer not in _REGISTERED:
        near = difflib.get_close_matches(scorer, _REGISTERED, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        known = ", ".join(sorted(_REGISTERED))
        raise UnknownScorerError(f"unknown scorer {scorer!r}; {hint}known: {known}")
    module, name, extra = _REGISTERED[scorer]
    try:
        found = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as exc:
        raise MissingExtraError(
            f"scorer {scorer!r} needs {exc.name!r}: pip install 'toolrm-guard[{extra}]'"
        ) from exc
    made: Scorer = found()
    return made
