"""A connection is one process's own; a key that no header takes is refused before it is sent."""

import asyncio
import os
import threading
import time
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import BaseModel

from toolrm_guard import blocking
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.scorers.json_server import Connection, JsonServer


class Echo(BaseModel):
    said: str


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(0.1)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def echo() -> Iterator[JsonServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        made = JsonServer(f"http://127.0.0.1:{server.server_port}", Connection(), remedy=str)
        yield made
        asyncio.run(blocking.on_io_loop(made.aclose()))
        server.shutdown()
        thread.join()


async def said(server: JsonServer, text: str) -> str:
    async with asyncio.timeout(5):
        return (await blocking.on_io_loop(server.ask("POST", "/", {"said": text}, Echo))).said


def test_a_forked_process_and_its_parent_each_read_their_own_answers(echo: JsonServer) -> None:
    assert asyncio.run(said(echo, "before")) == "before"
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that threads and forks do not mix is the point here
        child = os.fork()
    if child == 0:
        try:
            os.write(writing, asyncio.run(said(echo, "child")).encode())
        finally:
            os._exit(0)
    os.close(writing)
    time.sleep(0.05)
    parent = [asyncio.run(said(echo, text)) for text in ("one", "two")]
    os.waitpid(child, 0)
    with os.fdopen(reading) as answer:
        assert answer.read() == "child"
    assert parent == ["one", "two"]


@pytest.mark.parametrize("key", ["s3cret ", " s3cret", "s3cret\n", "s3cr\u00e9t"])
def test_a_key_that_no_header_takes_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigurationError, match="API key") as caught:
        Connection(api_key=key)
    assert "s3cr" not in str(caught.value)
