import pytest

from tests.support.scripted import Ledger


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()
