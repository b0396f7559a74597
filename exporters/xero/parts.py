"""Cutting what is to be sent or asked into parts that Xero takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Thing = TypeVar("Thing")


def in_parts(
    things: Iterable[Thing], *, most: int, room: int, size: Callable[[Thing], int]
) -> Iterator[list[Thing]]:
    """Parts of at most so many things, which together take up at most `room`; a thing that is
    larger than that goes alone."""
    part: list[Thing] = []
    taken = 0
    for thing in things:
        needed = size(thing)
        if part and (len(part) >= most or taken + needed > room):
            yield part
            part, taken = [], 0
        part.append(thing)
        taken += needed
    if part:
        yield part
