"""Work in lanes: what the calling thread does for workers, and what stops them."""

from __future__ import annotations

import threading
import time

import pytest

from exporters.suspension.lanes import Desk, StoppedError, in_lanes


def test_results_are_in_the_order_of_the_items() -> None:
    def work(item: int, _desk: Desk) -> int:
        time.sleep(0.01 * (5 - item))
        return item * item

    found = in_lanes(range(5), work, lanes=lambda item: frozenset([str(item)]))
    assert found == [0, 1, 4, 9, 16]


def test_the_calling_thread_alone_does_what_workers_ask() -> None:
    done_by: list[int] = []

    def work(item: int, desk: Desk) -> int:
        assert threading.get_ident() != caller
        return desk.do(lambda: done_by.append(threading.get_ident()) or item)

    caller = threading.get_ident()
    assert in_lanes(range(20), work, lanes=lambda item: frozenset([str(item)])) == [*range(20)]
    assert set(done_by) == {caller}


def test_work_of_several_lanes_waits_for_all_of_them_and_holds_up_nobody_else() -> None:
    began: list[str] = []
    both_may_end = threading.Event()

    def work(item: str, _desk: Desk) -> None:
        began.append(item)
        if item == "a":
            assert both_may_end.wait(5)
        if item == "b":
            both_may_end.set()

    lanes = {"a": {"1"}, "a and b": {"1", "2"}, "b": {"2"}}
    in_lanes(list(lanes), work, lanes=lambda item: frozenset(lanes[item]))
    assert began == ["a", "b", "a and b"]


class FullError(Exception):
    """The disk of the ledger."""


def test_a_ledger_that_cannot_be_written_stops_all_before_their_next_order() -> None:
    ordered: list[int] = []
    stopped: list[int] = []
    three_ask = threading.Barrier(3)

    def note(item: int) -> None:
        if item == 1:
            raise FullError

    def work(item: int, desk: Desk) -> None:
        three_ask.wait(5)
        try:
            desk.do(lambda: note(item))
        except StoppedError:
            stopped.append(item)
            raise
        ordered.append(item)
        time.sleep(0.05)
        desk.do(lambda: note(item))

    with pytest.raises(FullError):
        in_lanes(range(30), work, lanes=lambda item: frozenset([str(item)]), at_once=3)
    assert 1 in stopped
    assert set(ordered) <= {0, 2}  # nothing began after that, nothing without its note


def test_what_a_worker_raises_is_raised_when_the_others_have_ended() -> None:
    ended: list[int] = []

    def work(item: int, _desk: Desk) -> None:
        if item == 0:
            raise KeyboardInterrupt
        time.sleep(0.1)
        ended.append(item)

    with pytest.raises(KeyboardInterrupt):
        in_lanes(range(30), work, lanes=lambda item: frozenset([str(item)]), at_once=4)
    assert set(ended) <= {1, 2, 3}
