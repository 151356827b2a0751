"""The one error tree.

"The guard said no" is a decision, not an exception. What is raised here is either a mistake in the
set-up (`ConfigurationError`, before the agent starts) or the statement that no judgement could be
made (`CouldNotJudge`), which the policy turns into an outcome of its own.
"""

import traceback


class GuardError(Exception):
    """Everything this library raises on purpose."""


class ConfigurationError(GuardError, ValueError):
    """The set-up is wrong; the message names the thing, the value and the remedy."""


class InvalidToolError(ConfigurationError):
    """A tool schema is not valid JSON Schema, or two tools share a name."""


class InvalidConversationError(ConfigurationError):
    """A message or a candidate has a shape that is neither OpenAI's nor LangChain's."""


class UnknownScorerError(ConfigurationError):
    """No scorer is registered under that name."""


class ModelIntegrityError(ConfigurationError):
    """A model file does not match the hash that was recorded when it was made."""


class StoreError(ConfigurationError):
    """The trace store cannot be opened."""


class MissingExtraError(GuardError, ImportError):
    """An optional dependency is not installed; the message says which extra brings it."""


class CouldNotJudge(GuardError):
    """The guard could not judge: an outage is never a low score."""


class ScorerUnavailable(CouldNotJudge):
    """The scorer failed or could not be reached."""


class ScorerRefused(ScorerUnavailable):
    """The server is there but refuses: a key, a model name or a flag is wrong, not the weather."""


class ScorerOverloaded(CouldNotJudge):
    """The scorer has more to do than it can within the deadline; answered at once."""


class ScorerTimeout(CouldNotJudge):
    """The deadline of the policy passed before every candidate had a score."""


class InvalidScore(CouldNotJudge):
    """The scorer answered, but not with one finite score per candidate."""


class PromptTooLong(CouldNotJudge):
    """The tools and the latest request alone do not fit into the reward model's context."""


def origin_of(error: BaseException) -> str:
    """Return the class of an error and where it was raised, for a log.

    Its message is left out: it may quote what an agent was told, and nobody has redacted that.
    """
    frames = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    cause = error.__cause__ or error.__context__
    because = f", because of {type(cause).__name__}" if cause is not None else ""
    return f"{type(error).__name__}{because}\n{frames}".rstrip()
