"""A real HTTP server for judges and policies: chat completions and `/classify`, as told."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[dict[str, Any]], tuple[int, Any] | None]
"""A request's body to status and reply; None hangs until the server stops. A GET's body is {}."""


class Served:
    def __init__(self) -> None:
        self.url = ""
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.stopping = threading.Event()


@contextmanager
def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Served]:
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or "{}")
            served.bodies.append(body)
            served.paths.append(self.path)
            reply = answer(body)
            if reply is None:
                served.stopping.wait(30)
                return
            status, content = reply
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client may hang up."""

    http = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        http.socket = tls.wrap_socket(http.socket, server_side=True)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    scheme = "http" if tls is None else "https"
    served.url = f"{scheme}://127.0.0.1:{http.server_port}"
    try:
        yield served
    finally:
        served.stopping.set()
        http.shutdown()
        http.server_close()
        thread.join()


def said(*texts: str, tokens: int = 7) -> dict[str, Any]:
    """A chat completion with one choice a text."""
    choices = [{"message": {"role": "assistant", "content": text}} for text in texts]
    return {"choices": choices, "usage": {"completion_tokens": tokens}}


def called(*cities: str, tokens: int = 5) -> dict[str, Any]:
    """A chat completion with one choice a city, each with one call."""
    choices = []
    for city in cities:
        function = {"name": "weather", "arguments": json.dumps({"city": city})}
        call = {"id": "c", "type": "function", "function": function}
        choices.append({"message": {"content": None, "tool_calls": [call]}})
    return {"choices": choices, "usage": {"completion_tokens": tokens}}
