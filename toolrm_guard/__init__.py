"""Score, select and correct an agent's tool calls with a reward model before they execute.

Nothing is loaded until a name is used: `import toolrm_guard` costs no third-party import.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolrm_guard.budget import Budget
    from toolrm_guard.calls import Call, Candidate
    from toolrm_guard.errors import ConfigurationError, CouldNotJudge, GuardError
    from toolrm_guard.guard import Guard
    from toolrm_guard.middleware import GuardMiddleware
    from toolrm_guard.nodes import guard_node, guarded_tool_node
    from toolrm_guard.policy import Policy, Rule
    from toolrm_guard.review import Review
    from toolrm_guard.scorers.base import Score, Scorer, ScoreRequest
    from toolrm_guard.scorers.calibrated import CalibratedScorer
    from toolrm_guard.scorers.fake import FakeScorer
    from toolrm_guard.store import TraceStore
    from toolrm_guard.tools import Tool, ToolSet, effect

__version__ = "0.1.0"

__all__ = [
    "Budget",
    "CalibratedScorer",
    "Call",
    "Candidate",
    "ConfigurationError",
    "CouldNotJudge",
    "FakeScorer",
    "Guard",
    "GuardError",
    "GuardMiddleware",
    "Policy",
    "Review",
    "Rule",
    "Score",
    "ScoreRequest",
    "Scorer",
    "Tool",
    "ToolSet",
    "TraceStore",
    "effect",
    "guard_node",
    "guarded_tool_node",
]

_HOMES = {
    "Budget": "budget",
    "CalibratedScorer": "scorers.calibrated",
    "Call": "calls",
    "Candidate": "calls",
    "ConfigurationError": "errors",
    "CouldNotJudge": "errors",
    "FakeScorer": "scorers.fake",
    "Guard": "guard",
    "GuardError": "errors",
    "GuardMiddleware": "middleware",
    "Policy": "policy",
    "Review": "review",
    "Rule": "policy",
    "Score": "scorers.base",
    "ScoreRequest": "scorers.base",
    "Scorer": "scorers.base",
    "Tool": "tools",
    "ToolSet": "tools",
    "TraceStore": "store",
    "effect": "tools",
    "guard_node": "nodes",
    "guarded_tool_node": "nodes",
}
_EXTRAS = {"nodes": "langgraph", "middleware": "langchain"}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f"{__name__}.{home}")
    except ModuleNotFoundError as exc:
        if home not in _EXTRAS:
            raise
        from toolrm_guard.errors import MissingExtraError

        raise MissingExtraError(
            f"{name} needs {exc.name!r}: pip install 'toolrm-guard[{_EXTRAS[home]}]'"
        ) from exc
    value: object = getattr(module, name)
    globals()[name] = value  # the next use costs a dictionary look-up
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
