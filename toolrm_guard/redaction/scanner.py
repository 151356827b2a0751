"""Where texts hold secrets, by their shape."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from toolrm_guard.redaction.locked import Locked
from toolrm_guard.redaction.names import ASSIGNMENT_ANCHORS
from toolrm_guard.redaction.patterns import Detector
from toolrm_guard.redaction.values import PLACED, named_secrets, nested_json

_JOINT = "\n\x00\n"
_MAX_KNOWN_CHARS = 4_000_000

Finder = Callable[[str], Iterable["Found"]]


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """A secret: `text[start:end]`, and what kind it is."""

    start: int
    end: int
    kind: str


class Scanner(Locked):
    """Runs every detector over texts, and remembers which texts held nothing.

    A conversation comes again in each of its reviews, and the tools in all of them, so most of
    what a record holds has been looked at before. Only texts without a secret are remembered.
    """

    def __init__(self, detectors: Sequence[Detector], finder: Finder | None = None) -> None:
        """Take the detectors.

        Args:
            detectors: In case of doubt about where a secret ends, the earlier one names it.
            finder: Finds more in a text, e.g. by a model.
        """
        super().__init__()  # the lock: a redactor serves every guard and store of a process
        self._anchors = [
            (anchor, index) for index, d in enumerate(detectors) for anchor in d.anchors
        ]
        self._detectors = detectors
        self._finder = finder
        self._clean: OrderedDict[str, None] = OrderedDict()
        self._clean_chars = 0

    def find(self, text: str) -> list[Found]:
        """Return the secrets of a text, in order and without overlap."""
        return self.find_all([text]).get(text, [])

    def fresh(self, texts: Iterable[str]) -> list[str]:
        """Return those texts that are not known to hold no secret."""
        return [text for text in dict.fromkeys(texts) if text not in self._clean]

    def find_all(self, texts: Iterable[str]) -> dict[str, list[Found]]:
        """Return the secrets of those texts that hold any."""
        fresh = self.fresh(texts)
        if not fresh:
            return {}
        likely = self._likely(_JOINT.join(fresh))
        found = {}
        for text in fresh:
            spans = self._find_in(text, likely)
            if spans:
                found[text] = spans
            elif not secrets_in_json(text):
                self._remember(text)
        return found

    def _likely(self, text: str) -> list[Detector]:
        """Return the detectors that may find something, looking for their literals alone."""
        lowered = text.lower()
        hit = {index for anchor, index in self._anchors if anchor in lowered}
        return [
            detector
            for index, detector in enumerate(self._detectors)
            if index in hit or (not detector.anchors and detector.pattern.search(text))
        ]

    def _find_in(self, text: str, likely: Sequence[Detector]) -> list[Found]:
        lowered = text.lower() if likely else ""
        every = [
            Found(start, end, detector.kind)
            for detector in likely
            if not detector.anchors or any(anchor in lowered for anchor in detector.anchors)
            for start, end in detector.find(text)
        ]
        if self._finder is not None:
            every.extend(self._finder(text))
        if not every:
            return []
        placed = [match.span() for match in PLACED.finditer(text)]
        return without_overlap(
            found
            for found in every
            if found.start < found.end
            and all(found.end <= a or b <= found.start for a, b in placed)
        )

    def _remember(self, text: str) -> None:
        if len(text) > _MAX_KNOWN_CHARS // 16:
            return
        with self._lock:
            if text in self._clean:
                return
            self._clean[text] = None
            self._clean_chars += len(text) + 64
            while self._clean_chars > _MAX_KNOWN_CHARS:
                old, _ = self._clean.popitem(last=False)
                self._clean_chars -= len(old) + 64


def without_overlap(found: Iterable[Found]) -> list[Found]:
    """Return the secrets in order, those that overlap as one that covers them all."""
    merged: list[Found] = []
    for item in sorted(found, key=lambda item: (item.start, -item.end)):
        if merged and item.start < merged[-1].end:
            last = merged[-1]
            merged[-1] = Found(last.start, max(last.end, item.end), last.kind)
        else:
            merged.append(item)
    return merged


def secrets_in_json(text: str) -> list[str]:
    """Return what stands under the names of secrets in a text that is JSON as a whole."""
    found: list[str] = []
    if text.lstrip()[:1] not in ("{", "["):
        return found
    lowered = text.lower()
    if any(anchor in lowered for anchor in ASSIGNMENT_ANCHORS):
        named_secrets(nested_json(text), lambda leaf: found.append(str(leaf)))
    return found
