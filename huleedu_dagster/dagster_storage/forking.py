"""What has connections, locks or threads begins again in a forked process.

A child that used its parent's connections would mix its answers with the parent's; the parent's
threads are not there; and a lock that one of them held stays locked for ever.
"""

import os
from functools import cache
from typing import Protocol
from weakref import WeakSet


class BeginsAgain(Protocol):
    """Something that a forked process must not share with its parent."""

    def begin_again(self) -> None:
        """Let go of what is the parent's, without closing it, and start empty."""


_there: WeakSet[BeginsAgain] = WeakSet()


def begin_again_in_children(it: BeginsAgain) -> None:
    """Have something begin again in every process that is forked from this one."""
    _watch()
    _there.add(it)


@cache
def _watch() -> None:
    os.register_at_fork(after_in_child=_begin_again)


def _begin_again() -> None:
    for it in list(_there):
        it.begin_again()
