"""`kill -9` at any moment, and the same command run again at once.

What must hold after that: the same marts as if nothing had happened, each document exactly once in
Xero, a ledger whose chain verifies, no process and no unfinished run left behind, and no waiting
for what the dead one held. Moments are random over the whole run of the command, from its first
import to its last byte; `M2C_TEST_KILLS` says how many (5 outside continuous integration). With
`M2C_TEST_KILLS_LOG` a line about each is appended to that file.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

KILLS = int(os.environ.get("M2C_TEST_KILLS", "2"))
SEED = int(os.environ.get("M2C_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
PERIOD = "2026-10"
CLOSE = "2026-11-04T06:15:00+00:00"
LAST_DAYS = ("2026-10-29", "2026-10-30", "2026-10-31", "2026-11-01")
NIGHT = [["land", "--from", LAST_DAYS[0], "--to", LAST_DAYS[-1]], ["build"]]


class Killed:
    """A sequence of commands killed `at` seconds after it began; what was going on then."""

    def __init__(self, place: Any, commands: list[list[str]], *, at: float, env: dict[str, str]):
        self.was = "it had already ended"
        self.children: set[int] = set()
        self._place = place
        deadline = time.monotonic() + at
        for arguments in commands:
            process = place.start(*arguments, **env)
            drained = threading.Thread(target=process.communicate, daemon=True)
            drained.start()
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
            if process.poll() is None:
                self.children = place.processes() - {process.pid}
                self.was = f"{arguments[0]}: {_newest_step(place)}, {len(self.children)} children"
                process.send_signal(signal.SIGKILL)
                drained.join()
                return
            drained.join()
            assert process.returncode == 0, arguments

    def assert_children_end(self) -> None:
        end = time.monotonic() + 3
        while (left := self._place.processes() & self.children) and time.monotonic() < end:
            time.sleep(0.02)
        assert not left, "children of the killed command go on"


def _newest_step(place: Any) -> str:
    states = place.run_states() if (place / "dagster/history/runs.db").exists() else {}
    running = {state: count for state, count in states.items() if state != "SUCCESS"}
    return f"runs {running or 'none begun'}"


def again(place: Any, commands: list[list[str]], env: dict[str, str]) -> float:
    """Run the commands; how long they took."""
    started = time.monotonic()
    for arguments in commands:
        answer = place.run(*arguments, **env)
        assert answer.code == 0, answer.err
    return time.monotonic() - started


_latest: dict[str, float] = {}


def moment(what: str, attempt: int, undisturbed: float) -> float:
    """A random moment of a run that takes as long as the quickest seen so far."""
    span = min(undisturbed, _latest.get(what, undisturbed))
    return random.Random(f"{what} {SEED} {attempt}").uniform(0.05, span)


def tell(line: str) -> None:
    if path := os.environ.get("M2C_TEST_KILLS_LOG"):
        with Path(path).open("a") as file:
            file.write(line + "\n")


def assert_nothing_is_left_of_the_dead(place: Any) -> None:
    assert place.processes() == set()
    assert set(place.run_states()) <= {"SUCCESS", "FAILURE"}
    assert place.claimed_slots() == 0
    assert place.chain_faults() == ()


def assert_at_once(what: str, seconds: float, undisturbed: float) -> None:
    _latest[what] = min(seconds, _latest.get(what, undisturbed))
    # Thrice is for machines with other work; whoever waits for the dead waits minutes or for ever.
    assert seconds < 3 * undisturbed + 20


# --- the nightly run ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sites(sites: dict[str, str]) -> dict[str, str]:
    """The same at the moment of the close."""
    return {**sites, "M2C_NOW": CLOSE}


@pytest.fixture
def evening(month: Any, tmp_path: Path) -> Any:
    """The month, with its last days not landed yet."""
    place = month.place.copy_to(tmp_path / "data")
    _forget_last_days(place)
    return place


def _forget_last_days(place: Any) -> None:
    for day in LAST_DAYS:
        for folder in (place / "landing").glob(f"*/*/date={day}"):
            shutil.rmtree(folder)


@pytest.fixture(scope="module")
def undisturbed_night(
    month: Any, sites: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> float:
    place = month.place.copy_to(tmp_path_factory.mktemp("night") / "data")
    _forget_last_days(place)
    seconds = again(place, NIGHT, sites)
    assert place.lines() == month.place.lines()
    return seconds


@pytest.mark.parametrize("attempt", range(KILLS))
def test_a_killed_night_is_finished_by_the_next(
    month: Any, evening: Any, sites: dict[str, str], undisturbed_night: float, attempt: int
) -> None:
    at = moment("night", attempt, undisturbed_night)
    killed = Killed(evening, NIGHT, at=at, env=sites)
    assert evening.lines() == month.place.lines()

    seconds = again(evening, NIGHT, sites)

    killed.assert_children_end()
    assert evening.statements() == month.place.statements()
    assert evening.lines() == month.place.lines()
    assert_nothing_is_left_of_the_dead(evening)
    assert not list((evening / "landing").rglob("*.tmp"))
    assert_at_once("night", seconds, undisturbed_night)
    tell(
        f"night, seed {SEED}/{attempt}: killed at {at:.1f} of {undisturbed_night:.1f} s "
        f"({killed.was}); again {seconds:.1f} s"
    )


# --- publishing -----------------------------------------------------------------------------------

PUBLISH = [["publish", PERIOD, "--apply"]]


def documents(xero: Any) -> list[tuple[Any, ...]]:
    """Everything that a customer could be asked to pay, and the files of each."""
    state = xero.admin.state()
    found = [
        (d.get("InvoiceNumber") or d.get("CreditNoteNumber"), d["Type"], d["Status"], d["Total"])
        for d in (*state["invoices"], *state["credit_notes"])
    ]
    numbers = {
        d.get("InvoiceID") or d.get("CreditNoteID"): d.get("InvoiceNumber") or d["CreditNoteNumber"]
        for d in (*state["invoices"], *state["credit_notes"])
    }
    files = [(numbers[a["document"]], a["FileName"]) for a in state["attachments"]]
    return sorted(map(repr, [*found, *files]))


@pytest.fixture(scope="module")
def expected_documents(invoiced: Any) -> list[tuple[Any, ...]]:
    with invoiced.place.xero() as xero:
        return documents(xero)


def _assert_published_once(place: Any, xero: Any, invoiced: Any, expected: list[Any]) -> None:
    assert documents(xero) == expected
    assert place.lines() == invoiced.place.lines()
    # What is due is what was last seen: before or after a credit note took its part.
    columns = "statement_number, document_type, xero_status, publish_state, problem, total"
    sql = f"select {columns} from invoices order by statement_number"
    assert place.published(sql) == invoiced.place.published(sql)
    with place.ledger() as ledger:
        assert ledger.open_intents() == []


@pytest.mark.parametrize("attempt", range(KILLS))
def test_a_killed_publish_is_finished_by_the_next(
    issued: Any, invoiced: Any, expected_documents: list[Any], attempt: int
) -> None:
    undisturbed = invoiced.answers["publish"].seconds
    at = moment("publish", attempt, undisturbed)
    slow = attempt % 2 == 1
    with issued.xero() as xero:
        env = {**xero.environment(), "M2C_NOW": CLOSE}
        if slow:  # most of the time is then spent between a request and its answer
            xero.admin.fault("slow", method="PUT|POST", times=1000, seconds=0.3)
            at = min(at, undisturbed / 2)
        killed = Killed(issued, PUBLISH, at=at, env=env)
        held = len(documents(xero))
        xero.admin.call("clear_faults")

        seconds = again(issued, PUBLISH, env)

        killed.assert_children_end()
        _assert_published_once(issued, xero, invoiced, expected_documents)
    assert_nothing_is_left_of_the_dead(issued)
    assert_at_once("publish", seconds, undisturbed)
    tell(
        f"publish{' (slow Xero)' if slow else ''}, seed {SEED}/{attempt}: killed at {at:.1f} of "
        f"{undisturbed:.1f} s ({killed.was}, {held} of {len(expected_documents)} documents and "
        f"files in Xero); again {seconds:.1f} s"
    )


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_publish_killed_between_sending_and_noting_the_answer(
    issued: Any, invoiced: Any, expected_documents: list[Any], when: str
) -> None:
    with issued.xero() as xero:
        env = {**xero.environment(), "M2C_NOW": CLOSE}
        xero.admin.fault("hang", method="PUT|POST", path="Invoices$", when=when, seconds=3)
        process: subprocess.Popen[str] = issued.start(*PUBLISH[0], **env)
        _wait_for_a_write(xero, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        held = len(xero.admin.state()["invoices"])
        assert (held > 0) == (when == "after")

        seconds = again(issued, PUBLISH, env)

        _assert_published_once(issued, xero, invoiced, expected_documents)
    assert_nothing_is_left_of_the_dead(issued)
    assert_at_once("publish", seconds, invoiced.answers["publish"].seconds)
    tell(
        f"publish, request hanging {when} Xero's commit: {held} invoices were there; "
        f"again {seconds:.1f} s"
    )


def _wait_for_a_write(xero: Any, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None
        hanging = [r for r in xero.admin.requests() if r.get("status") == 0]
        if any(r["method"] != "GET" and r["path"].endswith("/Invoices") for r in hanging):
            return
        time.sleep(0.02)
    raise AssertionError("nothing was sent")


# --- who waits for the dead -----------------------------------------------------------------------


def test_who_waits_for_a_build_goes_on_when_that_is_killed(month: Any, issued: Any) -> None:
    first = issued.start("build", M2C_NOW=CLOSE)
    drained = threading.Thread(target=first.communicate, daemon=True)
    drained.start()
    _wait_for_dbt(issued)
    started = time.monotonic()
    second = issued.start("build", M2C_NOW=CLOSE)
    time.sleep(3)
    assert second.poll() is None
    first.send_signal(signal.SIGKILL)
    drained.join()
    out, err = second.communicate(timeout=120)
    assert second.returncode == 0, out + err
    assert issued.lines() == month.place.lines()
    assert_nothing_is_left_of_the_dead(issued)
    assert_at_once("build", time.monotonic() - started, month.answers["close"].seconds)


def _wait_for_dbt(place: Any) -> None:
    end = time.monotonic() + 60
    while len(place.processes()) < 2:
        assert time.monotonic() < end
        time.sleep(0.05)
