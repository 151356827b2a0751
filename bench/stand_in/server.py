"""A reward server on loopback that speaks vLLM's protocol, and misbehaves when told so.

    python -m bench.stand_in.server --port 8123 [--fault stall --share 0.3] [--seed 0]

It computes nothing: a reward is a hash of the token ids. With `--item-ms` and `--request-ms` it
works like one processor that takes that long, one request after the other, so that what a client
adds of its own can be measured.
"""

import argparse
import asyncio
import json
import random
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from bench.stand_in.replies import MODEL, classify_reply, models_reply

Fault = Literal["none", "503", "stall", "half_closed", "truncated_json", "nan", "wrong_model"]

STALL_S = 30.0
_REASONS = {200: "OK", 404: "Not Found", 503: "Service Unavailable"}


@dataclass(slots=True, kw_only=True)
class StandIn:
    """What the server does.

    Attributes:
        fault: What goes wrong.
        share: With which chance a request for scores meets the fault.
        item_ms: Milliseconds that a candidate takes.
        request_ms: Milliseconds that a request takes, whatever is in it.
        seed: Of the chance.
        items: Candidates in the requests for scores so far.
        requests: Requests for scores so far.
        faults: How many of them met the fault.
    """

    fault: Fault = "none"
    share: float = 1.0
    item_ms: float = 0.0
    request_ms: float = 0.0
    seed: int = 0
    items: int = 0
    requests: int = 0
    faults: int = 0
    _chance: random.Random = field(init=False)
    _processor: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    async def serve(self, port: int = 0, *, tls: ssl.SSLContext | None = None) -> asyncio.Server:
        """Return a server that listens on loopback; a port of 0 takes a free one."""
        return await asyncio.start_server(self._connection, "127.0.0.1", port, ssl=tls)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read(reader)) is not None:
                if not await self._answer(*request, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client gave up
        finally:
            writer.close()

    async def _answer(self, path: str, body: bytes, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; tell whether the connection is still of use."""
        if path == "/v1/models":
            await _write(writer, 200, json.dumps(models_reply(MODEL)).encode())
            return True
        asked = json.loads(body)
        self.requests += 1
        self.items += len(asked["input"])
        async with self._processor:
            await asyncio.sleep((self.request_ms + self.item_ms * len(asked["input"])) / 1e3)
        if self.fault == "none" or self._chance.random() >= self.share:
            await _write(writer, 200, json.dumps(classify_reply(asked)).encode())
            return True
        self.faults += 1
        return await self._misbehave(asked, writer)

    async def _misbehave(self, asked: Mapping[str, Any], writer: asyncio.StreamWriter) -> bool:
        sound = json.dumps(classify_reply(asked)).encode()
        if self.fault == "503":
            await _write(writer, 503, b'{"error": "the engine is dead"}')
        elif self.fault == "stall":
            await asyncio.sleep(STALL_S)
            await _write(writer, 200, sound)
        elif self.fault == "half_closed":
            # It sends the head and half of the body, and closes its side; ours stays open.
            writer.write(_head(200, len(sound)) + sound[: len(sound) // 2])
            await writer.drain()
            writer.write_eof()
            await asyncio.sleep(STALL_S)
            return False
        elif self.fault == "truncated_json":
            await _write(writer, 200, sound[: len(sound) // 2])
        elif self.fault == "nan":
            reply = classify_reply(asked)
            self._chance.choice(reply["data"])["probs"] = [float("nan")]
            await _write(writer, 200, json.dumps(reply).encode())
        elif self.fault == "wrong_model":
            await _write(writer, 200, json.dumps(classify_reply(asked, model="llama")).encode())
        return True


async def _read(reader: asyncio.StreamReader) -> tuple[str, bytes] | None:
    """Return path and body of the next request, or None at the end of the connection."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.split("\r\n")
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(fields.get("content-length", 0)))
    return first.split(" ")[1], body


def _head(status: int, length: int) -> bytes:
    return (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


async def _write(writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
    writer.write(_head(status, len(body)) + body)
    await writer.drain()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--fault", choices=get_args(Fault), default="none")
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--item-ms", type=float, default=0.0)
    parser.add_argument("--request-ms", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    options = vars(parser.parse_args())
    port = options.pop("port")

    async def serve() -> None:
        async with await StandIn(**options).serve(port) as server:
            await server.serve_forever()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
