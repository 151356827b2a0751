"""What a gate may name."""

from collections.abc import Mapping

NAMES: Mapping[str, str] = {
    "accuracy": "share of the turns with a known outcome that are decided right",
    "false_block": "share of the right turns that would be withheld",
    "false_pass": "share of the wrong turns that would run",
    "replaced": "share of the right turns in whose place another candidate would be chosen",
    "changed": "share of the compared reviews in which something else would run",
    "unjudged": "share of all reviews that could not be judged again",
    "known": "number of compared turns with a known outcome",
    "gained": "number of known turns that only the scorer decides right",
    "lost": "number of known turns that only the baseline decides right",
    "p_value": "of the exact McNemar test of gained against lost",
    "difference": "accuracy minus that of the baseline",
    "difference_low": "lower end of its 95% interval",
    "difference_high": "upper end of its 95% interval",
}
"""Name to meaning."""

BASE = "base"
WITH_BASE = ("accuracy", "false_block", "false_pass", "replaced")
"""Names that the baseline has a value of, too."""
