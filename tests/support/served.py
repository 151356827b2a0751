"""vLLM's HTTP interface as an httpx transport, for tests without a server."""

import json
from collections.abc import Mapping
from typing import Any

import httpx

from bench.stand_in.replies import MAX_TOKENS, MODEL, classify_reply, models_reply


class FakeVllm(httpx.AsyncBaseTransport):
    """A server that answers as vLLM does; subclasses and attributes make it misbehave."""

    def __init__(self, model: str = MODEL) -> None:
        self.model = model
        self.max_model_len = MAX_TOKENS
        self.requests: list[httpx.Request] = []
        self.inputs: list[list[list[int]]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        if request.url.path == "/v1/models":
            return httpx.Response(
                200, json=models_reply(self.model, max_model_len=self.max_model_len)
            )
        body = json.loads(request.content)
        if body["model"] != self.model:
            said = {"error": {"message": f"The model `{body['model']}` does not exist."}}
            return httpx.Response(404, json=said)
        self.inputs.append(body["input"])
        return self.classify(body)

    def classify(self, body: Mapping[str, Any]) -> httpx.Response:
        return httpx.Response(200, json=classify_reply(body, model=self.model))
