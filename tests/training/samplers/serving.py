"""A real HTTP server that behaves as it is told: answers, refuses, babbles or says nothing."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], bytes]
Behaviour = Callable[[int, dict[str, Any]], Reply | None]
"""The number of the request and its body, to a reply; None hangs until the server stops."""


def turn(port: str = "Rome", text: str | None = None, tokens: int = 50) -> bytes:
    """The body of a chat completion with one call, or with text."""
    call = {"name": "get_tides", "arguments": json.dumps({"port": port})}
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if text is None:
        message["tool_calls"] = [{"id": "x", "type": "function", "function": call}]
    return json.dumps(
        {"choices": [{"message": message}], "usage": {"total_tokens": tokens}}
    ).encode()


def ok(number: int, body: dict[str, Any]) -> Reply:
    """Answers with a port that hangs on the request's seed."""
    return 200, {}, turn(str(body["seed"]))


class Server:
    """Where it is, and what it was asked."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.url = ""


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[Server]:
    """Run a server for the time of a test."""
    server = Server(behaviour)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.path == "/v1/chat/completions"
            with server.lock:
                server.bodies.append(body)
                server.headers.append(dict(self.headers))
                server.times.append(time.monotonic())
                number = len(server.bodies)
            reply = server.behaviour(number, body)
            if reply is None:
                server.stopping.wait(30)
                return
            status, headers, content = reply
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    try:
        yield server
    finally:
        server.stopping.set()
        http.shutdown()
        http.server_close()
        thread.join()
