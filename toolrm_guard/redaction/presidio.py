"""Presidio's recognisers beside our own detectors: `pip install 'toolrm-guard[redact]'`.

Without a language model: a blank spaCy pipeline splits words, patterns and check digits do the
rest. So nothing is downloaded, and names of persons are not found; an `AnalyzerEngine` of your own,
with a model, finds them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from toolrm_guard.errors import MissingExtraError
from toolrm_guard.redaction.redactor import Redactor
from toolrm_guard.redaction.scanner import Found

try:
    import spacy
    from presidio_analyzer import (
        AnalyzerEngine,
        EntityRecognizer,
        RecognizerRegistry,
        predefined_recognizers,
    )
    from presidio_analyzer.nlp_engine import SpacyNlpEngine
except ModuleNotFoundError as exc:
    raise MissingExtraError(
        f"PresidioRedactor needs {exc.name!r}: pip install 'toolrm-guard[redact]'"
    ) from exc

_RECOGNIZERS = (
    "PhoneRecognizer", "IpRecognizer", "MacAddressRecognizer", "CryptoRecognizer",
    "CreditCardRecognizer", "IbanRecognizer", "UsSsnRecognizer", "UsItinRecognizer",
    "UkNinoRecognizer", "MedicalLicenseRecognizer",
)  # fmt: skip
"""Those of English whose matches are checked; e-mail addresses are found by our own detector,
because Presidio's asks the network for the list of public suffixes."""


class PresidioRedactor(Redactor):
    """A `Redactor` that also replaces what Presidio recognises; milliseconds a text.

    Example:
        >>> guard = Guard("lite", store="traces.db", redactor=PresidioRedactor())
    """

    def __init__(
        self,
        *,
        analyzer: Any = None,
        entities: Sequence[str] | None = None,
        least_score: float = 0.4,
        custom: Mapping[str, str] | None = None,
    ) -> None:
        """Take or make the analyzer.

        Args:
            analyzer: A `presidio_analyzer.AnalyzerEngine`; left out, one without a model.
            entities: The names of Presidio's entities that count; None for all it knows.
            least_score: Presidio's confidence below which a match does not count, 0 to 1.
            custom: As for `Redactor`.

        Raises:
            ConfigurationError: As for `Redactor`.
        """
        self._analyzer = analyzer or _without_model()
        self._entities = list(entities) if entities is not None else None
        self._least_score = least_score
        super().__init__(personal=("email", "phone"), custom=custom, finder=self._recognised)

    def _recognised(self, text: str) -> Iterator[Found]:
        found = self._analyzer.analyze(
            text, language="en", entities=self._entities, score_threshold=self._least_score
        )
        for result in found:
            yield Found(result.start, result.end, result.entity_type.lower())


def _without_model() -> AnalyzerEngine:
    pipeline = spacy.blank("en")
    pipeline.max_length = 100_000_000  # its limit is for parsers, which a blank pipeline lacks
    engine = SpacyNlpEngine()
    engine.nlp = {"en": pipeline}  # type: ignore[assignment]  # declared as None, set by load()
    recognizers: list[EntityRecognizer] = [
        getattr(predefined_recognizers, name)() for name in _RECOGNIZERS
    ]
    registry = RecognizerRegistry(recognizers=recognizers, supported_languages=["en"])
    return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])
