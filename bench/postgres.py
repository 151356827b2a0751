"""A PostgreSQL server of one's own, for as long as it is needed.

    with postgres.server() as url: ...

It listens on a socket in its own temporary folder and nowhere else. `TOOLRM_TEST_POSTGRES` names
another server to use instead.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ENV = "TOOLRM_TEST_POSTGRES"
_USER = "toolrm"


class NoPostgres(RuntimeError):
    """There is no server, and none can be started; the message says what is missing."""


@contextlib.contextmanager
def server(*, durable: bool = True) -> Iterator[str]:
    """Yield the SQLAlchemy URL of a server's database.

    Args:
        durable: Whether commits reach the disk; without it a server starts and writes faster.

    Raises:
        NoPostgres: If there is none.
    """
    if given := os.environ.get(ENV):
        yield given
        return
    programs, owner = _programs(), _owner()
    folder = Path(tempfile.mkdtemp(prefix="toolrm-pg-"))
    try:
        if owner is not None:
            shutil.chown(folder, owner)
        data = folder / "data"
        made: list[str | Path] = [programs / "initdb", "-D", data, "-U", _USER, "-E", "UTF8"]
        _run([*made, "-A", "trust", "-N", "--locale=C"], owner)
        options = (
            f"-c listen_addresses='' -c unix_socket_directories={folder} -c max_connections=60"
        )
        if not durable:
            options += " -c fsync=off -c full_page_writes=off"
        control: list[str | Path] = [programs / "pg_ctl", "-D", data, "-w", "-t", "60"]
        _run([*control, "-o", options, "-l", folder / "log", "start"], owner)
        try:
            yield f"postgresql+psycopg://{_USER}@/postgres?host={folder}"
        finally:
            _run([*control, "-m", "immediate", "stop"], owner)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """Return the folder of `initdb` and `pg_ctl`; Debian has them on nobody's PATH."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not versions:
        raise NoPostgres(
            f"no initdb here; apt-get install postgresql, or set {ENV} to the URL of a server"
        )
    return versions[-1].parent


def _owner() -> str | None:
    """Return who is to run the server, which refuses to run as root; None for this user."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise NoPostgres("root may not run a PostgreSQL server, and there is no other user to run it")


def _run(command: Sequence[str | Path], owner: str | None) -> None:
    done = subprocess.run(
        command, user=owner, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    if done.returncode != 0:
        raise NoPostgres(f"{Path(command[0]).name} failed: {done.stderr.strip()[-500:]}")
