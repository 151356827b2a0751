import sqlite3
from pathlib import Path

import pytest

from toolrm_guard.errors import ConfigurationError
from training.preferences.config import BuildConfig, parse_config
from training.preferences.inputs import find_inputs


def config(path: str | None, name: str = "labelled") -> BuildConfig:
    source = {"name": name, **({"path": path} if path else {})}
    return parse_config({"sources": [source], "samplers": [{"name": "recorded"}]})


def test_a_files_hash_follows_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("1")
    (one,) = find_inputs(config("a.jsonl"), tmp_path)
    (tmp_path / "a.jsonl").write_text("2")
    (two,) = find_inputs(config("a.jsonl"), tmp_path)
    assert one.sha256 != two.sha256
    assert (one.bytes, one.shown) == (1, "a.jsonl")


def test_a_folders_hash_follows_the_names_too(tmp_path: Path) -> None:
    folder = tmp_path / "packs"
    folder.mkdir()
    (folder / "a.jsonl").write_text("1")
    (one,) = find_inputs(config("packs"), tmp_path)
    (folder / "a.jsonl").rename(folder / "b.jsonl")
    (two,) = find_inputs(config("packs"), tmp_path)
    assert one.sha256 != two.sha256


def test_what_lies_on_the_hub_has_no_hash_and_says_so(tmp_path: Path) -> None:
    (own,) = find_inputs(config(None, "xlam_60k"), tmp_path)
    (named,) = find_inputs(config("owner/data", "xlam_60k"), tmp_path)
    assert (own.sha256, own.path, own.shown) == ("", None, "xlam_60k (hub)")
    assert (named.sha256, named.path) == ("", "owner/data")


@pytest.mark.parametrize(
    ("made", "message"),
    [(("gone.jsonl", "labelled"), "--data"), (("a", "no_such"), "known are")],
)
def test_what_cannot_be_found_names_the_remedy(
    made: tuple[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        find_inputs(config(*made), tmp_path)


def test_rows_that_are_in_the_log_of_a_sqlite_file_alone_change_its_hash(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "traces.db")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t (a)")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (one,) = find_inputs(config("traces.db", "traces"), tmp_path)
    db.execute("INSERT INTO t VALUES (1)")
    db.commit()
    (two,) = find_inputs(config("traces.db", "traces"), tmp_path)
    db.close()
    assert one.sha256 != two.sha256


def test_the_sqlite_url_of_a_trace_store_is_its_file(tmp_path: Path) -> None:
    (tmp_path / "traces.db").write_bytes(b"1")
    (by_path,) = find_inputs(config("traces.db", "traces"), tmp_path)
    for url in ("sqlite:///traces.db", f"sqlite+pysqlite:///{tmp_path / 'traces.db'}"):
        (by_url,) = find_inputs(config(url, "traces"), tmp_path)
        assert (by_url.path, by_url.sha256) == (by_path.path, by_path.sha256)
    with pytest.raises(ConfigurationError, match="no file"):
        find_inputs(config("sqlite:///gone.db", "traces"), tmp_path)


def test_a_trace_store_in_a_server_is_given_as_it_is_and_without_a_password(tmp_path: Path) -> None:
    url = "postgresql+psycopg://me@db.example/traces"
    (found,) = find_inputs(config(url, "traces"), tmp_path)
    assert (found.path, found.sha256) == (url, "")
    for secret in ("postgresql://me:hunter2@db/traces", "postgresql://db/t?password=hunter2"):
        with pytest.raises(ConfigurationError, match="PGPASSWORD") as caught:
            find_inputs(config(secret, "traces"), tmp_path)
        assert "hunter2" not in str(caught.value)
