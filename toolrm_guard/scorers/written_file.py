"""A JSON file that one of our commands writes and a scorer reads."""

from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from toolrm_guard.errors import ConfigurationError


class WrittenFile(BaseModel):
    """The content; subclasses say which command wrote it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    command: ClassVar[str]

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return the file's content.

        Raises:
            ConfigurationError: If it cannot be read or has another format.
        """
        try:
            return cls.model_validate_json(Path(path).read_bytes())
        except OSError as exc:
            raise ConfigurationError(
                f"{path}: {exc.strerror}; make it with `{cls.command}`"
            ) from exc
        except ValidationError as exc:
            raise ConfigurationError(f"{path} is not a file of `{cls.command}`: {exc}") from exc
