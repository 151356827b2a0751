"""Presidio without a language model: nothing is downloaded, and patterns are found."""

import subprocess
import sys

import pytest


def test_presidio_finds_what_our_own_patterns_do_not() -> None:
    pytest.importorskip("presidio_analyzer")
    script = (
        "import socket\n"
        "def refuse(*a, **k): raise AssertionError('the network was asked')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from toolrm_guard.redaction.presidio import PresidioRedactor\n"
        "print(PresidioRedactor().redact_text('bob@example.com at 192.168.1.17 or 212-456-7890'))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    said = "<redacted:email> at <redacted:ip_address> or <redacted:phone>\n"
    assert done.stdout == said, done.stderr


def test_without_presidio_the_extra_is_named() -> None:
    script = (
        "import sys; sys.modules['spacy'] = None\n"
        "try: import toolrm_guard.redaction.presidio\n"
        "except ImportError as exc: print(exc)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "pip install 'toolrm-guard[redact]'" in done.stdout
