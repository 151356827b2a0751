"""One page over all runs of all benches: accuracy, choice, trust, cost, and how each was made.

    python -m bench.report DIR [--out FILE]

Reads every JSON file of the folder and writes one HTML file that loads nothing from elsewhere.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.page import html as html
from bench.page.accuracy import trbench
from bench.page.cost import cost, grid, other, overhead
from bench.page.html import plain
from bench.page.run_files import Run, load, mapping
from bench.page.sampling import best_of_n, self_correction
from bench.page.trust import calibration

_KNOWN = (
    "trbench",
    "best_of_n",
    "self_correction",
    "calibration",
    "latency",
    "latency_grid",
    "overhead",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="where benches wrote their JSON")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: DIR/index.html")
    arguments = parser.parse_args(argv)
    try:
        runs, problems = load(arguments.folder)
        if not runs:
            raise FileNotFoundError(f"{arguments.folder}: no run of a bench; write one with --json")
        out = arguments.out or arguments.folder / "index.html"
        out.write_text(render(runs, problems), encoding="utf-8")
    except OSError as exc:
        print(f"bench.report: {exc}", file=sys.stderr)
        return 1
    for problem in problems:
        print(f"bench.report: {problem}", file=sys.stderr)
    print(f"{out}: {len(runs)} runs")
    return 0


def render(runs: Sequence[Run], problems: Sequence[str]) -> str:
    """Return the page.

    Args:
        runs: Of any bench; what this page does not know is listed as it is.
        problems: Files that could not be read.
    """
    of = {name: [run for run in runs if run.bench == name] for name in _KNOWN}
    rest = [run for run in runs if run.bench not in _KNOWN]
    sections = [
        ("Pairs", trbench(of["trbench"]) if of["trbench"] else ""),
        ("Best of N", best_of_n(of["best_of_n"]) if of["best_of_n"] else ""),
        (
            "Self-correction",
            self_correction(of["self_correction"]) if of["self_correction"] else "",
        ),
        ("Calibration", calibration(of["calibration"]) if of["calibration"] else ""),
        ("Time", cost(of["trbench"], of["latency"])),
        ("Ways of scoring", grid(of["latency_grid"]) if of["latency_grid"] else ""),
        ("Overhead", overhead(of["overhead"]) if of["overhead"] else ""),
        ("Other benches", other(rest) if rest else ""),
        ("How each was made", html.notes(problems) + "".join(_origin(run) for run in runs)),
    ]
    lead = (
        "Does the scorer rank right calls above wrong ones, what does choosing by it gain, can its "
        "probabilities be trusted, and what does it cost. Every number names its command below."
    )
    return html.page(
        "toolrm-guard: bench results", lead, [(name, body) for name, body in sections if body]
    )


def _origin(run: Run) -> str:
    facts = run.facts
    machine = mapping(facts.get("machine")) or facts
    commit = str(facts.get("commit") or "not stated")[:12]
    pairs = [
        ("command", str(facts.get("command") or "not stated")),
        ("commit", f"{commit} with local changes" if facts.get("dirty") else commit),
        *(
            ("data", f"{name} sha256 {digest}")
            for name, digest in mapping(facts.get("data")).items()
        ),
        ("machine", _machine(machine)),
        ("seed", plain(facts.get("seed"))),
        ("at", plain(facts.get("at"))),
    ]
    return html.details(run.name, html.definitions(pairs))


def _machine(facts: object) -> str:
    known = mapping(facts)
    versions = ", ".join(f"{k} {v}" for k, v in mapping(known.get("versions")).items())
    parts = [
        f"{known['cores']} cores" if "cores" in known else "",
        str(known.get("cpu") or known.get("machine") or ""),
        f"{known['memory_gb']} GB" if known.get("memory_gb") else "",
        f"load {known['load']}" if known.get("load") is not None else "",
        f"Python {known['python']}" if "python" in known else "",
        versions,
    ]
    return ", ".join(part for part in parts if part) or "not stated"


if __name__ == "__main__":
    sys.exit(main())
