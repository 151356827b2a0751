"""Where a generative reward model is served and how it is asked."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from toolrm_guard.critic_prompt import CriticMode
from toolrm_guard.errors import ConfigurationError
from toolrm_guard.scorers.json_server import Connection

Chat = Sequence[Mapping[str, str]]
Form = Literal["evaluate", "label"]

_PREFIX = "TOOLRM_GUARD_CRITIC_"
_VARIABLES = ("URL", "MODEL", "API_KEY", "CA_FILE", "THINKING", "FORM")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatSettings:
    """Where the model is and how it is asked.

    Attributes:
        url: Of the server, with or without `/v1` at its end.
        model: The name it serves.
        connection: The API key, whom to trust, and a certificate of our own.
        thinking: True or False is told to the chat template (`enable_thinking`, vLLM and SGLang);
            None sends nothing, for servers that refuse fields they do not know.
        form: `evaluate` lets the model write its reasons before the label, as it was trained;
            `label` begins the answer for it and reads one token: a fraction of the cost, needs a
            server that continues an answer (vLLM, SGLang) and gives log-probabilities.
        max_tokens: Of one answer, its thought included.
        parallel: Requests in flight at a time.
        attempts: How often a request that met a passing failure is sent, within the deadline.
        timeout_s: Of one request, whatever the deadline.
        extra: Further fields of every request, e.g. `structured_outputs`; these win, and None
            leaves a field out.
    """

    url: str
    model: str
    connection: Connection = field(default_factory=Connection)
    thinking: bool | None = None
    form: Form = "evaluate"
    max_tokens: int = 4_096
    parallel: int = 32
    attempts: int = 1
    timeout_s: float = 120.0
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.model:
            raise ConfigurationError(f"no model is named for {self.url}; give the name it serves")
        if self.thinking and self.form == "label":
            raise ConfigurationError(
                "form='label' begins the answer for the model, so that it cannot think first; "
                "give thinking=False, or form='evaluate'"
            )
        for name in ("max_tokens", "parallel", "attempts"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} is {getattr(self, name)}; give 1 or more")

    @property
    def mode(self) -> CriticMode:
        """What the prompt says of thinking."""
        return "think" if self.thinking else "no_think"


def settings_from(environ: Mapping[str, str] | None = None) -> ChatSettings:
    """Return the settings that the environment names.

    `TOOLRM_GUARD_CRITIC_URL` and `..._MODEL` are needed; `..._API_KEY`, `..._CA_FILE`,
    `..._THINKING` (`on` or `off`) and `..._FORM` (`evaluate` or `label`) are not.

    Raises:
        ConfigurationError: If one is missing or has an unknown value.
    """
    given = os.environ if environ is None else environ
    found = {name: given.get(_PREFIX + name) or None for name in _VARIABLES}
    url, model = found["URL"], found["MODEL"]
    if url is None or model is None:
        raise ConfigurationError(
            f"scorer 'critic' asks a server: set {_PREFIX}URL and {_PREFIX}MODEL, or make it "
            "yourself: CriticScorer(ChatSettings(url=..., model=...))"
        )
    thinking = {None: None, "on": True, "off": False}
    if found["THINKING"] not in thinking:
        raise ConfigurationError(f"{_PREFIX}THINKING={found['THINKING']!r}; give on or off")
    forms: dict[str | None, Form] = {None: "evaluate", "evaluate": "evaluate", "label": "label"}
    if found["FORM"] not in forms:
        raise ConfigurationError(f"{_PREFIX}FORM={found['FORM']!r}; give evaluate or label")
    return ChatSettings(
        url=url,
        model=model,
        connection=Connection(api_key=found["API_KEY"], verify=found["CA_FILE"] or True),
        thinking=thinking[found["THINKING"]],
        form=forms[found["FORM"]],
    )
