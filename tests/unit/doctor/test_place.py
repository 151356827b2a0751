"""The installation, the store and the collector."""

import importlib.metadata
import socket
import sqlite3
from pathlib import Path

import pytest

from tests.support.otlp import receiving
from toolrm_guard import FakeScorer, Guard, TraceStore
from toolrm_guard.doctor import place


def test_installed_extras_are_listed_and_missing_packages_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = importlib.metadata.distribution

    def without_lightgbm(name: str) -> importlib.metadata.Distribution:
        if name == "lightgbm":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "distribution", without_lightgbm)
    message = place.check_extras().message
    assert "langgraph" in message.split("; without")[0]
    assert "lite (needs lightgbm)" in message.split("; without")[1]


def test_a_store_that_can_be_written_is_well(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    TraceStore(path).close()
    check = place.check_store(str(path))
    assert check.status == "ok"
    assert check.message.startswith("0 reviews; ")


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    assert place.check_store(str(path)).status == "fail"
    assert not path.exists()


def test_a_file_that_is_no_database_fails(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    path.write_text("no database, " * 100)
    assert place.check_store(str(path)).status == "fail"


def test_a_database_that_is_gone_fails_without_its_password() -> None:
    check = place.check_store("postgresql+psycopg://ann:hunter2@127.0.0.1:1/traces")
    assert check.status == "fail"
    assert "hunter2" not in check.message


def test_a_nearly_full_disk_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "traces.db"
    TraceStore(path).close()
    monkeypatch.setattr(place, "_LOW_DISK_BYTES", 1 << 60)
    assert place.check_store(str(path)).status == "warn"


def test_a_collector_that_takes_spans_is_well() -> None:
    with receiving() as received:
        check = place.check_otel({"OTEL_EXPORTER_OTLP_ENDPOINT": received.url + "/"})
    assert check.status == "ok"
    [empty] = received.messages["/v1/traces"]
    assert not empty.resource_spans


def test_a_collector_that_is_gone_fails_with_its_address() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"  # bound, but nobody listens
        check = place.check_otel({"OTEL_EXPORTER_OTLP_ENDPOINT": url})
    assert check.status == "fail"
    assert url in check.message
    assert "OTLP/HTTP" in check.remedy


def test_the_endpoint_of_traces_goes_before_the_common_one_and_headers_are_sent() -> None:
    with receiving() as received:
        check = place.check_otel(
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": received.url + "/v1/traces",
                "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer abc, x-tenant=t",
            }
        )
    assert check.status == "ok"
    assert received.headers[0]["authorization"] == "Bearer abc"
    assert received.headers[0]["x-tenant"] == "t"


def test_headers_are_decoded_as_the_sdk_does_and_a_bad_one_is_not_shown() -> None:
    with receiving() as received:
        at = {"OTEL_EXPORTER_OTLP_ENDPOINT": received.url}
        encoded = at | {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic%20abc%3D"}
        assert place.check_otel(encoded).status == "ok"
        assert received.headers[0]["authorization"] == "Basic abc="
        for bad in ("s3cret%0A", "s3cr\u00e9t\u20ac", "s3cret%20"):
            check = place.check_otel(at | {"OTEL_EXPORTER_OTLP_HEADERS": f"authorization={bad}"})
            assert check.status == "fail"
            assert "s3cr" not in check.message + check.remedy
            assert "OTEL_EXPORTER_OTLP_HEADERS" in check.message


def test_what_cannot_be_seen_from_here_is_skipped() -> None:
    assert place.check_otel({}).status == "skip"
    grpc = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    assert place.check_otel(grpc).status == "skip"


def test_a_disabled_sdk_is_a_warning() -> None:
    assert place.check_otel({"OTEL_SDK_DISABLED": "true"}).status == "warn"


def test_an_endpoint_that_is_no_url_fails() -> None:
    assert place.check_otel({"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318"}).status == "fail"


def test_a_store_that_cannot_be_written_fails_though_it_opens(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    TraceStore(path).close()
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE calls")
    database.close()
    check = place.check_store(str(path))
    assert check.status == "fail"
    assert "cannot be written" in check.message


def test_looking_at_a_store_leaves_no_record_in_it(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    store = TraceStore(path)
    Guard(FakeScorer(lambda _: [0.9]), store=store).review("x", [], ["y"])
    store.close()
    assert place.check_store(str(path)).message.startswith("1 reviews; ")
    assert place.check_store(str(path)).message.startswith("1 reviews; ")
