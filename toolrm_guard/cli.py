"""`toolrm-guard`: the command line. Each command loads only what it needs."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from toolrm_guard import __version__
from toolrm_guard.errors import GuardError, MissingExtraError, StoreError


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except GuardError as exc:
        print(f"toolrm-guard: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("toolrm-guard: interrupted", file=sys.stderr)
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="toolrm-guard",
        description="Score, select and correct an agent's tool calls before they execute.",
    )
    parser.add_argument("--version", action="version", version=f"toolrm-guard {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="run the same agent bare and guarded, and compare",
        description="Run a LangGraph agent on an embedded 135M model over stateful toolkits, bare "
        "and guarded on the same seeds, and print what each did. Needs no network, GPU or key "
        "once the model is cached.",
    )
    demo.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    demo.add_argument("--store", type=Path, metavar="FILE", help="SQLite file for the records")
    demo.add_argument("--seed", type=int, default=0, help="of the whole run (default 0)")
    demo.add_argument("--tasks", type=_positive, metavar="N", help="only N tasks, evenly spread")
    demo.add_argument("--candidates", type=_positive, metavar="N", help="per round (default 8)")
    demo.set_defaults(run=_demo)
    report = commands.add_parser(
        "report",
        help="say what was blocked, corrected and escalated, or in shadow would have been",
        description="Summarise the records of a trace store by mode, tool and effect class.",
    )
    report.add_argument("store", metavar="STORE", help="SQLite file or SQLAlchemy URL")
    report.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    report.set_defaults(run=_report)
    _add_calibrate(commands)
    return parser


def _add_calibrate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    calibrate = commands.add_parser(
        "calibrate",
        help="choose thresholds that block right calls no more often than a stated rate",
        description="Choose a threshold per effect class so that, on average over new prompts like "
        "those given, at most the stated share of right calls falls below it (conformal risk "
        "control). Fails if there is too little evidence for the rate.",
    )
    source = calibrate.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--records", type=Path, nargs="+", metavar="FILE", help="labelled records, JSON lines"
    )
    source.add_argument(
        "--store",
        metavar="STORE",
        help="SQLite file or SQLAlchemy URL of a trace store; its shadow reviews with outcomes",
    )
    calibrate.add_argument("--scorer", default="lite", help="default: lite")
    calibrate.add_argument(
        "--wrongly-blocked",
        type=float,
        required=True,
        metavar="RATE",
        help="share of right calls that may be blocked, e.g. 0.05",
    )
    calibrate.add_argument("--out", type=Path, required=True, metavar="FILE")
    calibrate.add_argument(
        "--only",
        type=_kinds,
        metavar="KIND,...",
        help="of read, write, destructive, answer; the others keep the scorer's own thresholds",
    )
    calibrate.add_argument(
        "--candidates",
        type=_positive,
        default=1,
        metavar="N",
        help="per decision, as your graph draws them; of --records (default 1)",
    )
    calibrate.add_argument("--seed", type=int, default=0, help="of drawing candidates (default 0)")
    calibrate.set_defaults(run=_calibrate)


def _demo(arguments: argparse.Namespace) -> int:
    try:
        from toolrm_guard.demo import command
    except ModuleNotFoundError as exc:
        raise MissingExtraError(
            f"the demo needs {exc.name!r}: pip install 'toolrm-guard[lite,local,langgraph]'"
        ) from exc
    return command.run_command(
        json_file=arguments.json,
        store=arguments.store,
        seed=arguments.seed,
        tasks=arguments.tasks,
        candidates=arguments.candidates,
    )


def _report(arguments: argparse.Namespace) -> int:
    from toolrm_guard import report
    from toolrm_guard.store import TraceStore

    if "://" not in arguments.store and not Path(arguments.store).is_file():
        raise StoreError(f"no trace store at {arguments.store!r}; give the file that Guard writes")
    with TraceStore(arguments.store) as store:
        figures = report.summarise(store.reviews(), store.outcomes())
    print(report.render(figures))
    if arguments.json is not None:
        text = json.dumps(report.to_json(figures), indent=1, sort_keys=True)
        arguments.json.write_text(text + "\n", encoding="utf-8")
    return 0


def _calibrate(arguments: argparse.Namespace) -> int:
    from toolrm_guard import calibrate
    from toolrm_guard.calibration import KINDS

    return calibrate.run_command(
        records=arguments.records or (),
        store=arguments.store,
        scorer=arguments.scorer,
        rate=arguments.wrongly_blocked,
        kinds=arguments.only or KINDS,
        candidates=arguments.candidates,
        seed=arguments.seed,
        out=arguments.out,
    )


def _kinds(text: str) -> tuple[str, ...]:
    known = ("read", "write", "destructive", "answer")
    kinds = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if unknown := [kind for kind in kinds if kind not in known]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
    return kinds


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return value


if __name__ == "__main__":
    sys.exit(main())
