"""`toolrm-guard doctor`."""

import argparse
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from toolrm_guard.cli.arguments import Commands, positive
from toolrm_guard.errors import ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    from toolrm_guard.doctor.scoring import Reference
    from toolrm_guard.scorers.base import Scorer


def add(commands: "Commands[argparse.ArgumentParser]") -> None:
    """Add the command."""
    doctor = commands.add_parser(
        "doctor",
        help="say whether the scorer, its server, the store and the collector are as they should",
        description="Check what the guard needs and measure what a review costs here, one line a "
        "check with its remedy. Exit code 1 if a check failed. A served scorer takes what is not "
        "given here from the environment, as `Guard('vllm')` does.",
    )
    doctor.add_argument("--scorer", metavar="NAME", help="default: vllm with --url, else lite")
    doctor.add_argument("--url", help="of the vLLM server; several separated by commas")
    doctor.add_argument("--model", metavar="NAME", help="that the server serves")
    doctor.add_argument("--disc", type=Path, metavar="FOLDER", help="of the model: disc.json")
    doctor.add_argument("--ca", metavar="FILE", help="certificate authorities to trust, PEM")
    doctor.add_argument(
        "--api-key-env", metavar="VARIABLE", help="environment variable that holds the API key"
    )
    doctor.add_argument(
        "--reference",
        type=Path,
        metavar="PATH",
        help="a Disc folder, scored here with transformers, or a file of --save-reference",
    )
    doctor.add_argument(
        "--tolerance", type=float, default=1e-3, metavar="X", help="of a raw reward (default 1e-3)"
    )
    doctor.add_argument("--save-reference", type=Path, metavar="FILE", help="write rewards there")
    doctor.add_argument("--store", metavar="STORE", help="SQLite file or SQLAlchemy URL")
    doctor.add_argument(
        "--reviews", type=positive, default=30, metavar="N", help="to measure (default 30)"
    )
    doctor.add_argument(
        "--deadline", type=float, default=2.0, metavar="S", help="of a review (default 2)"
    )
    doctor.add_argument("--json", action="store_true", help="print JSON instead of text")
    doctor.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from toolrm_guard.doctor.command import Plan, run_command

    reference: Path | None = arguments.reference
    plan = Plan(
        scorer=partial(_scorer, arguments),
        reviews=arguments.reviews,
        deadline_s=arguments.deadline,
        reference=partial(_reference, reference, reference.is_dir()) if reference else None,
        tolerance=arguments.tolerance,
        save_reference=arguments.save_reference,
        store=arguments.store,
    )
    return run_command(plan, as_json=arguments.json)


def _scorer(arguments: argparse.Namespace) -> "Scorer":
    """Return the scorer by name; what was given here stands for the environment's."""
    from toolrm_guard.scorers import resolve

    key = arguments.api_key_env and os.environ.get(arguments.api_key_env)
    if arguments.api_key_env and not key:
        raise ConfigurationError(
            f"--api-key-env {arguments.api_key_env}: there is no such variable, or it is empty"
        )
    name = arguments.scorer or ("vllm" if arguments.url else "lite")
    given = {
        "URL": arguments.url,
        "MODEL": arguments.model,
        "FOLDER": arguments.disc and str(arguments.disc),
        "CA_FILE": arguments.ca,
        "API_KEY": key,
    }
    prefix = "TOOLRM_GUARD_CRITIC" if name == "critic" else "TOOLRM_GUARD_VLLM"
    variables = {f"{prefix}_{part}": value for part, value in given.items() if value}
    if name == "local" and arguments.disc:
        variables["TOOLRM_GUARD_DISC"] = str(arguments.disc)
    with _environment(variables):
        return resolve(name)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables while a scorer is made from them; a caller of `main` finds its own again."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


async def _reference(path: Path, is_folder: bool) -> "Reference":
    from toolrm_guard.doctor import scoring

    if not is_folder:
        return scoring.stored(path)
    try:
        from toolrm_guard.scorers.local import LocalScorer
    except ModuleNotFoundError as exc:
        raise MissingExtraError(
            f"a reference folder is scored with {exc.name!r}: pip install 'toolrm-guard[local]'"
        ) from exc
    return await scoring.scored(LocalScorer(path), str(path))
