"""Tools read and checked once: an agent offers the same ones every turn."""

import copy
import json
import marshal
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from toolrm_guard.tools import ToolSet

_KEPT = 64


class ToolSets:
    """The tool sets that were seen last, by what they were read from.

    A schema counts by its content, any other object by its identity. Objects are kept beside their
    set, so that no identity is ever another object's; schemas are copied, so that one which is
    changed in place is another one.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[object, tuple[list[object], ToolSet]] = OrderedDict()

    def of(self, tools: Sequence[object] | ToolSet, *, lenient: bool = False) -> ToolSet:
        """Return the tools as a set; see `ToolSet.of`."""
        if isinstance(tools, ToolSet):
            return tools
        key = (lenient, *map(_key, tools))
        read = self._known.get(key)
        if read is None:
            kept = [copy.deepcopy(tool) if isinstance(tool, Mapping) else tool for tool in tools]
            read = self._known[key] = (kept, ToolSet.of(kept, lenient=lenient))
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return read[1]


def _key(tool: object) -> object:
    if not isinstance(tool, Mapping):
        return id(tool)
    try:
        # Four times as fast as JSON; in its first version the bytes depend on the content alone.
        return marshal.dumps(tool, 0)  # type: ignore[arg-type]  # what it cannot write, it says
    except ValueError:  # not only plain data
        return json.dumps(tool, default=repr)
