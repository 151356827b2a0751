"""The installation, the trace store, and the collector that spans and metrics go to."""

import importlib.metadata
import importlib.util
import re
import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

import httpx
from sqlalchemy import Engine, false, func, insert, select
from sqlalchemy.exc import SQLAlchemyError

from toolrm_guard import __version__
from toolrm_guard.doctor.check import Check
from toolrm_guard.errors import StoreError
from toolrm_guard.store import tables
from toolrm_guard.store.opening import open_engine

_SHOWN_EXTRAS = ("langgraph", "langchain", "lite", "local", "vllm", "postgres", "redact")
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+).*;.*extra == ['\"]([a-z]+)['\"]")
_LOW_DISK_BYTES = 200 << 20
_OTLP_TIMEOUT_S = 5.0


def check_extras() -> Check:
    """Return which extras are installed; what a scorer lacks, its own check says."""
    needed: dict[str, list[str]] = defaultdict(list)
    for requirement in importlib.metadata.requires("toolrm-guard") or ():
        found = _REQUIREMENT.match(requirement)
        if found is not None and found[1] != "toolrm-guard":
            needed[found[2]].append(found[1])
    missing = {
        extra: [name for name in needed[extra] if not _is_installed(name)]
        for extra in _SHOWN_EXTRAS
        if extra in needed
    }
    here = ", ".join(extra for extra, names in missing.items() if not names) or "none"
    gone = "; ".join(f"{e} (needs {', '.join(names)})" for e, names in missing.items() if names)
    message = f"toolrm-guard {__version__} with {here}" + (f"; without {gone}" if gone else "")
    return Check(name="extras", status="ok", message=message)


def check_store(location: str | None) -> Check:
    """Return whether records can be written to the trace store, without writing one."""
    name = "store"
    if location is None:
        return Check(name=name, status="skip", message="no --store was given")
    is_file = "://" not in location
    if is_file and not Path(location).is_file():
        message = f"there is no trace store at {location!r}"
        return Check(name=name, status="fail", message=message, remedy="give the one Guard writes")
    try:
        engine = open_engine(location)
    except StoreError as exc:
        return Check(name=name, status="fail", message=str(exc))
    try:
        reviews = _probe(engine)
    except SQLAlchemyError as exc:
        message = f"it opens, but cannot be written: {getattr(exc, 'orig', None) or exc}"
        remedy = "give its user the right to insert, or make the file and its folder writable"
        return Check(name=name, status="fail", message=message, remedy=remedy)
    finally:
        engine.dispose()
    message = f"{reviews} reviews"
    if is_file:
        free = shutil.disk_usage(Path(location).parent).free
        message += f"; {free / 1e9:.1f} GB are free on its disk"
        if free < _LOW_DISK_BYTES:
            remedy = "make room: on a full disk records are lost"
            return Check(name=name, status="warn", message=message, remedy=remedy)
    return Check(name=name, status="ok", message=message)


def check_otel(environ: Mapping[str, str]) -> Check:
    """Return whether the collector that the environment names takes spans.

    Your application configures the SDK; what its code says cannot be seen from here.
    """
    name = "otel"
    if importlib.util.find_spec("opentelemetry.sdk") is None:
        message = "the OpenTelemetry SDK is not installed, so nothing is exported"
        remedy = "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
        return Check(name=name, status="skip", message=message, remedy=remedy)
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        message = "OTEL_SDK_DISABLED is true, so nothing is exported"
        return Check(name=name, status="warn", message=message, remedy="unset it")
    url = _traces_url(environ)
    if url is None:
        message = "no OTEL_EXPORTER_OTLP_ENDPOINT is set here; your application may set its own"
        return Check(name=name, status="skip", message=message)
    if environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "").startswith("grpc"):
        message = f"{url} speaks gRPC, which is not tried here"
        return Check(name=name, status="skip", message=message)
    remedy = "start the collector with an OTLP/HTTP receiver, or correct the endpoint"
    headers = {"Content-Type": "application/x-protobuf", **_headers(environ)}
    try:
        # No bytes are an export request without spans.
        answer = httpx.post(url, content=b"", headers=headers, timeout=_OTLP_TIMEOUT_S)
    except (httpx.LocalProtocolError, UnicodeEncodeError):  # their messages quote the header
        message = f"{url} was not asked: OTEL_EXPORTER_OTLP_HEADERS holds what no HTTP header takes"
        return Check(name=name, status="fail", message=message, remedy="correct the variable")
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        return Check(name=name, status="fail", message=f"{url}: {exc}", remedy=remedy)
    if not answer.is_success:
        message = f"{url} answers {answer.status_code} to an empty export"
        return Check(name=name, status="fail", message=message, remedy=remedy)
    return Check(name=name, status="ok", message=f"{url} takes spans")


def _probe(engine: Engine) -> int:
    """Return how many reviews there are; whatever an insert needs is asked for, no row is made.

    Raises:
        SQLAlchemyError: If a record could not be inserted.
    """
    with engine.begin() as connection:
        for table in (tables.reviews, tables.calls, tables.outcomes):
            none = select(table).where(false())
            connection.execute(insert(table).from_select(list(table.c), none))
        return connection.execute(select(func.count()).select_from(tables.reviews)).scalar_one()


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _traces_url(environ: Mapping[str, str]) -> str | None:
    exact = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    if exact:
        return exact
    base = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    return f"{base.rstrip('/')}/v1/traces" if base else None


def _headers(environ: Mapping[str, str]) -> dict[str, str]:
    pairs = environ.get("OTEL_EXPORTER_OTLP_HEADERS", "").split(",")
    named = (pair.partition("=") for pair in pairs if "=" in pair)
    # Values are percent-encoded, as in W3C baggage.
    return {key.strip(): unquote(value.strip()) for key, _, value in named}
