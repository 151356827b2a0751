"""Fixtures of every folder: a place for a trace store in either database."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from bench import postgres

REQUIRE = "TOOLRM_REQUIRE_POSTGRES"
"""Set where a missing server is an error, not a reason to skip."""


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a PostgreSQL server that lives as long as the tests."""
    try:
        server = postgres.server(durable=False)
        url = server.__enter__()
    except postgres.NoPostgres as exc:
        if os.environ.get(REQUIRE):
            raise
        pytest.skip(str(exc))
    try:
        yield url
    finally:
        server.__exit__(None, None, None)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """URL of an empty schema."""
    schema = f"test_{uuid.uuid4().hex}"
    engine = create_engine(postgres_server, pool_pre_ping=True)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    joint = "&" if "?" in postgres_server else "?"
    yield f"{postgres_server}{joint}options=-csearch_path%3D{schema}"
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty place for a trace store, once in each database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'traces.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url
