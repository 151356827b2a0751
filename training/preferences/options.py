"""The options of samplers and sources, checked against the signatures that take them.

A mistake is found before anything is read: a build that runs for hours must not end on a key that
was misspelled in its last section.
"""

from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from toolrm_guard.errors import ConfigurationError
from training.preferences.naming import hint


def check_options(
    what: str, takes: Callable[..., Any], options: Mapping[str, Any], inside: tuple[str, ...] = ()
) -> None:
    """Check options by name, type and bounds; bounds stand in `Annotated` types.

    Args:
        what: Whose they are, for messages: `sampler 'perturb'`.
        takes: What takes them as keyword arguments.
        options: As they stand in the configuration.
        inside: Parameters that only code gives, such as loaded models.

    Raises:
        ConfigurationError: If one is unknown, and then with the nearest known one, or is bad.
    """
    # A class's own constructor has them: a dataclass also has fields that it does not take.
    hinted = vars(takes)["__init__"] if isinstance(takes, type) else takes
    hints = get_type_hints(hinted, include_extras=True)
    known = [
        name
        for name, parameter in signature(takes).parameters.items()
        if parameter.kind is Parameter.KEYWORD_ONLY and name not in inside
    ]
    for name, value in options.items():
        if name not in known:
            near = hint(name, known) if known else "; it takes none"
            raise ConfigurationError(f"{what}: unknown option {name!r}{near}")
        try:
            TypeAdapter(hints[name]).validate_python(value, strict=True)
        except ValidationError as exc:
            first = exc.errors(include_url=False)[0]
            at = ".".join(str(part) for part in (name, *first["loc"]))
            said = first["msg"].removeprefix("Value error, ")
            raise ConfigurationError(f"{what}: {at}: {said} (it is {value!r})") from exc
