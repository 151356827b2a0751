"""A lock that a forked process can take, too."""

import os
import threading
import weakref


class Locked:
    """Has a lock, and a new one in a forked child.

    In the parent another thread, such as a store's writer, may hold it at the time of the fork;
    in the child there is no such thread, and nobody would ever give it back.
    """

    def __init__(self) -> None:
        """Make the lock."""
        self._lock = threading.Lock()
        _every.add(self)


_every: "weakref.WeakSet[Locked]" = weakref.WeakSet()


def _renew() -> None:
    for item in list(_every):
        item._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
