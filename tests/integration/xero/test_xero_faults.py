"""Publishing where things fail in between: each document still arrives exactly once."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from filelock import FileLock

CHILD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from exporters.ledger import Actor, Ledger
from exporters.xero import XeroConfig, publish
import os
ledger = Ledger.open(sys.argv[1], clock=lambda: datetime.now(UTC), actor=Actor("c", "c", "c"))
config = XeroConfig.from_environment(os.environ, data_dir=Path(sys.argv[3]))
report = publish(
    Path(sys.argv[2]), ledger, "2026-10", config=config, clock=lambda: datetime.now(UTC), apply=True
)
sys.stdout.write(report.describe())
sys.exit(report.exit_code)
"""


def assert_once(bench: Any, *numbers: str) -> None:
    """Each number is in Xero once, approved, and recorded so; another run has nothing to do."""
    for number in numbers:
        found = bench.live(number)
        assert [d["Status"] for d in found] == ["AUTHORISED"], number
        assert bench.document(number)["publish_state"] == "published"
    bench.admin.call("clear-faults")
    bench.writes()
    before = bench.facts()
    report = bench.publish()
    assert {x.action for x in report.lines} == {"already there"}, report.describe()
    assert bench.writes() == []
    assert bench.facts() == before


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize(
    ("kind", "when"),
    [
        ("hang", "before"),
        ("hang", "after"),
        ("truncate", "after"),
        ("status", "before"),
        ("status", "after"),
        ("html", "before"),
        ("html", "after"),
    ],
)
def test_write_without_good_answer(bench: Any, method: str, when: str, kind: str) -> None:
    numbers = [bench.issue(), bench.issue(payer="payer2")]
    status = 503 if kind == "html" else 500
    bench.admin.fault(
        kind, method=method, path="^/Invoices$", when=when, seconds=2.0, status=status
    )
    report = bench.publish(read_seconds=0.5)
    assert report.exit_code == 0, report.describe()
    assert_once(bench, *numbers)


def test_timeout_after_commit_is_adopted_by_number_and_not_sent_again(bench: Any) -> None:
    bench.issue()
    bench.admin.fault("hang", method="PUT", path="^/Invoices$", when="after", seconds=1.5)
    report = bench.publish(read_seconds=0.5)
    assert report.lines[0].done[:2] == ["adopted", "approved"]
    assert bench.writes().count("PUT /Invoices") == 1


def test_timeout_before_commit_is_created_once_under_the_same_key(bench: Any) -> None:
    bench.issue()
    bench.admin.fault("hang", method="PUT", path="^/Invoices$", when="before", seconds=1.5)
    bench.publish(read_seconds=0.5)
    puts = [
        r for r in bench.admin.requests() if r["method"] == "PUT" and r["path"].endswith("Invoices")
    ]
    assert len(puts) == 2
    assert len({r["headers"]["idempotency-key"] for r in puts}) == 1
    assert len({r["body"] for r in puts}) == 1


def test_cached_error_is_looked_up_and_retried_under_a_new_key(bench: Any) -> None:
    number = bench.issue()
    bench.admin.fault("status", method="PUT", path="^/Invoices$", status=500)
    bench.publish()
    requests = [r for r in bench.admin.requests() if r["path"].endswith("/Invoices")]
    assert [r["method"] for r in requests] == ["GET", "PUT", "GET", "PUT", "POST"]
    keys = [r["headers"]["idempotency-key"] for r in requests if r["method"] == "PUT"]
    assert len(set(keys)) == 2
    assert_once(bench, number)


def test_outcome_never_known_is_looked_up_by_the_next_run(bench: Any) -> None:
    number = bench.issue()
    bench.admin.fault("status", method="PUT", path="^/Invoices$", status=500, times=9)
    report = bench.publish()
    assert report.exit_code == 3
    assert number in str(report.failure)
    assert bench.live(number) == []
    bench.admin.call("clear-faults")
    assert bench.publish().exit_code == 0
    assert_once(bench, number)


def test_contact_create_without_answer_makes_one_contact(bench: Any) -> None:
    number = bench.issue()
    bench.admin.fault("hang", method="PUT", path="^/Contacts$", when="after", seconds=1.5)
    assert bench.publish(read_seconds=0.5).exit_code == 0
    assert len(bench.admin.state()["contacts"]) == 1
    assert_once(bench, number)


def test_forty_eight_good_and_two_bad(bench: Any) -> None:
    numbers = [bench.issue(payer=f"payer{i}") for i in range(1, 51)]
    bench.admin.call("limits", minute=1000)
    bench.admin.call("refuse-numbers", numbers=numbers[:2])
    report = bench.publish()
    assert report.exit_code == 1
    assert [x.statement_number for x in report.unresolved] == numbers[:2]
    assert all(number in report.describe() for number in numbers[:2])
    good = [i for i in bench.admin.state()["invoices"] if i["Status"] == "AUTHORISED"]
    assert len(good) == 48
    bench.admin.call("refuse-numbers", numbers=[])
    assert bench.publish().exit_code == 0
    assert_once(bench, *numbers)


def test_token_expires_in_mid_batch(bench: Any) -> None:
    numbers = [bench.issue(), bench.issue(payer="payer2")]
    bench.publish(apply=False)
    bench.admin.fault("status", method="PUT", path="^/Invoices$", status=401)
    assert bench.publish().exit_code == 0
    assert_once(bench, *numbers)


def test_token_ends_by_the_clock(bench: Any) -> None:
    bench.issue()
    bench.publish(apply=False)
    bench.admin.call("expire-tokens")
    bench.admin.advance(3600)
    assert bench.publish().exit_code == 0


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_forbidden_stops_at_once(bench: Any, method: str) -> None:
    number = bench.issue()
    bench.admin.fault("status", method=method, path="^/Invoices$", status=403, times=9)
    report = bench.publish()
    assert report.exit_code == 3
    assert "403" in str(report.failure)
    refused = [r for r in bench.admin.requests() if r["status"] == 403]
    assert len(refused) == 1
    with bench.ledger.snapshot() as reader:
        assert reader.open_intents() == []
    bench.admin.call("clear-faults")
    assert bench.publish().exit_code == 0
    assert_once(bench, number)


@pytest.mark.parametrize(
    ("problem", "retry_after", "slept"),
    [("minute", 17, [17.0]), ("concurrent", None, [1.0]), ("appminute", None, [1.0])],
)
def test_short_limits_are_waited_for(
    bench: Any, problem: str, retry_after: int | None, slept: list[float]
) -> None:
    number = bench.issue()
    bench.admin.fault(
        "status",
        method="PUT",
        path="^/Invoices$",
        status=429,
        problem=problem,
        retry_after=retry_after,
    )
    assert bench.publish().exit_code == 0
    assert bench.slept == pytest.approx(slept, abs=0.1)
    assert_once(bench, number)


def test_real_minute_window(bench: Any) -> None:
    numbers = [bench.issue(payer=f"payer{i}") for i in range(1, 16)]
    bench.admin.call("limits", minute=12)
    assert bench.publish().exit_code == 0
    assert bench.slept
    assert max(bench.slept) <= 60
    assert_once(bench, *numbers)


def test_day_limit_ends_cleanly_and_goes_on_the_next_day(bench: Any) -> None:
    numbers = [bench.issue(), bench.issue(payer="payer2")]
    bench.admin.fault(
        "status",
        method="POST",
        path="^/Invoices$",
        status=429,
        problem="day",
        retry_after=7200,
        times=9,
    )
    report = bench.publish()
    assert report.exit_code == 0
    until = report.deferred_until
    assert until is not None
    assert abs((until - bench.clock()).total_seconds() - 7200) < 10
    assert f"deferred until {until:%Y-%m-%d %H:%M} UTC" in report.describe()
    assert bench.admin.requests()[-1]["status"] == 429
    with bench.ledger.snapshot() as reader:
        assert reader.open_intents() == []
    bench.admin.call("clear-faults")
    bench.admin.advance(7200)
    report = bench.publish()
    assert [x.action for x in report.lines] == ["finish", "finish"]
    assert_once(bench, *numbers)


def test_one_cent_drift_leaves_the_draft_and_blocks(bench: Any) -> None:
    number = bench.issue()
    fine = bench.issue(payer="payer2")
    bench.admin.fault("cent", method="PUT", path="^/Invoices$")
    report = bench.publish()
    assert report.exit_code == 1
    assert "TaxAmount is 24.85, ours 24.84" in report.describe()
    assert {d["Status"] for d in bench.live(number)} == {"DRAFT"}
    assert bench.document(number)["publish_state"] == "quarantined"
    assert bench.document(fine)["publish_state"] == "quarantined"
    bench.writes()
    assert bench.publish().exit_code == 1
    assert bench.writes() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"Invoices.0.Status": "SOMETHING_NEW"},
        {"Invoices.0.Total": None},
        {"Invoices.0.LineItems": None},
        {"Invoices.0.Contact": None},
        {"Invoices.0.InvoiceID": None},
        {"Invoices.0.Type": None},
        {"Invoices.0.Date": "2026-11-03", "Invoices.0.DateString": None},
        {"Invoices": []},
    ],
)
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_null_or_unknown_value_in_a_good_answer(
    bench: Any, changes: dict[str, object], method: str
) -> None:
    number = bench.issue()
    bench.admin.fault("rewrite", method=method, path="^/Invoices$", changes=changes)
    report = bench.publish()
    assert report.exit_code == 0, report.describe()
    assert_once(bench, number)


def test_attachment_without_answer_is_there_once(bench: Any) -> None:
    number = bench.issue()
    folder = bench.config.data_dir / "reports" / "2026-10"
    folder.mkdir(parents=True)
    (folder / f"{number}.pdf").write_bytes(b"%PDF-1.7 statement")
    bench.admin.fault("hang", method="PUT", path="Attachments", when="after", seconds=1.5)
    assert bench.publish(read_seconds=0.5).exit_code == 0
    assert len(bench.admin.state()["attachments"]) == 1
    assert_once(bench, number)


@pytest.mark.parametrize("kind", ["hang", "status"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_allocation_without_answer_is_made_once(
    bench: Any, make_line: Any, kind: str, when: str
) -> None:
    bench.issue(period="2026-09")
    bench.publish(period="2026-09")
    note = bench.issue(
        make_line(quantity=Decimal("-24.5"), amount=Decimal("-2.02"), tax_amount=Decimal("-0.51"))
    )
    bench.admin.fault(kind, method="PUT", path="Allocations", when=when, seconds=1.5)
    report = bench.publish(read_seconds=0.5)
    assert report.exit_code == 0
    assert [a["Amount"] for a in bench.live(note)[0]["Allocations"]] == [Decimal("2.53")]
    bench.writes()
    assert bench.publish().lines[0].action == "already there"
    assert bench.writes() == []


def test_crash_between_credit_note_and_allocation_resumes(bench: Any, make_line: Any) -> None:
    bench.issue(period="2026-09")
    bench.publish(period="2026-09")
    note = bench.issue(
        make_line(quantity=Decimal("-24.5"), amount=Decimal("-2.02"), tax_amount=Decimal("-0.51"))
    )
    bench.admin.fault("status", method="GET", path="^/CreditNotes/", status=403)
    assert bench.publish().exit_code == 3
    assert bench.live(note)[0]["Status"] == "AUTHORISED"
    report = bench.publish()
    assert report.lines[0].action == "finish"
    assert len(bench.live(note)[0]["Allocations"]) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "^/Contacts$"), ("PUT", "^/Invoices$"), ("POST", "^/Invoices$"), ("PUT", "Attach")],
)
def test_killed_between_send_and_local_commit(bench: Any, method: str, path: str) -> None:
    number = bench.issue()
    folder = bench.config.data_dir / "reports" / "2026-10"
    folder.mkdir(parents=True)
    (folder / f"{number}.pdf").write_bytes(b"%PDF-1.7 statement")
    bench.admin.fault("hang", method=method, path=path, when="after", seconds=6)
    child = start_child(bench)
    try:
        wait_for_write(bench, method, path.strip("^$"))
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.communicate(timeout=10)
    report = bench.publish()
    assert report.exit_code == 0, report.describe()
    assert len(bench.admin.state()["contacts"]) == 1
    assert len(bench.admin.state()["attachments"]) == 1
    assert_once(bench, number)


def start_child(bench: Any) -> subprocess.Popen[str]:
    """The same publishing run in a process of its own."""
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            CHILD,
            bench.ledger.url,
            str(bench.marts),
            str(bench.config.data_dir),
        ],
        env={**os.environ, **bench.sandbox.environment()},
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_write(bench: Any, method: str, path: str) -> None:
    """Until the sandbox has served (and not answered) a write."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for request in bench.admin.requests():
            if (
                request["method"] == method
                and path in request["path"]
                and request.get("status") == 0
            ):
                return
        time.sleep(0.05)
    pytest.fail(f"no {method} {path} arrived")


def test_two_runs_at_once_one_loses_politely(bench: Any) -> None:
    number = bench.issue()
    bench.admin.fault("slow", method="GET", path="^/Organisation$", seconds=3)
    child = start_child(bench)
    end = time.monotonic() + 20
    while not bench.admin.requests() and time.monotonic() < end:
        time.sleep(0.05)
    before = bench.facts()
    report = bench.publish()
    assert report.exit_code == 1
    assert "another process is publishing" in report.describe()
    assert report.writes == 0
    assert bench.facts() == before
    output, _ = child.communicate(timeout=30)
    assert child.returncode == 0, output
    assert_once(bench, number)


def test_lock_of_a_dead_process_does_not_hold(bench: Any) -> None:
    bench.issue()
    locks = bench.config.locks_dir
    locks.mkdir()
    (locks / f"xero-{bench.config.tenant_id}.lock").touch()
    assert bench.publish().exit_code == 0
    with FileLock(locks / f"xero-{bench.config.tenant_id}.lock", timeout=0):
        assert bench.publish().busy is not None


def test_no_connection_is_a_failure_in_words(bench: Any) -> None:
    bench.issue()
    report = bench.publish(
        api_url="http://127.0.0.1:9/api.xro/2.0", identity_url="http://127.0.0.1:9"
    )
    assert report.exit_code == 3
    assert "cannot be reached" in str(report.failure)


def test_same_key_replays_for_six_minutes_and_not_after(bench: Any) -> None:
    bench.issue()
    bench.publish()
    put = next(
        r
        for r in bench.admin.requests()
        if r["method"] == "PUT" and r["path"].endswith("/Invoices")
    )
    headers = {
        "authorization": f"Bearer {token(bench)}",
        "xero-tenant-id": bench.config.tenant_id,
        "idempotency-key": put["headers"]["idempotency-key"],
        "content-type": "application/json",
    }
    url = f"{bench.config.api_url}/Invoices?{put['query']}"
    with contextlib.closing(httpx.Client()) as http:
        inside = http.put(url, content=put["body"], headers=headers)
        other = http.put(url, content=put["body"] + " ", headers=headers)
        bench.admin.advance(361)
        after = http.put(url, content=put["body"], headers=headers)
    assert inside.json()["Invoices"][0]["StatusAttributeString"] == "OK"
    assert other.status_code == 400
    assert after.json()["Invoices"][0]["ValidationErrors"][0]["Message"] == (
        "Invoice # must be unique."
    )
    assert len(bench.admin.state()["invoices"]) == 1


def token(bench: Any) -> str:
    """An access token of the sandbox."""
    with contextlib.closing(httpx.Client()) as http:
        answer = http.post(
            f"{bench.config.identity_url}/connect/token",
            data={"grant_type": "client_credentials"},
            auth=(bench.config.client_id, bench.config.client_secret),
        )
    return str(answer.json()["access_token"])


def test_refused_attachment_needs_a_person_and_is_tried_again_under_a_new_key(bench: Any) -> None:
    number = bench.issue()
    folder = bench.config.data_dir / "reports" / "2026-10"
    folder.mkdir(parents=True)
    (folder / f"{number}.pdf").write_bytes(b"%PDF-1.7 statement")
    bench.admin.fault("status", method="PUT", path="Attachments", status=400, times=2)
    for _ in range(2):
        report = bench.publish()
        assert report.exit_code == 1
        assert f"{number}: quarantined" in report.describe()
        assert bench.document(number)["status"] == "AUTHORISED"
    assert bench.publish().exit_code == 0
    puts = [
        r for r in bench.admin.requests() if "Attachments" in r["path"] and r["method"] == "PUT"
    ]
    assert len({r["headers"]["idempotency-key"] for r in puts}) == 3
    assert_once(bench, number)


def test_refused_allocation_needs_a_person(bench: Any, make_line: Any) -> None:
    bench.issue(period="2026-09")
    bench.publish(period="2026-09")
    note = bench.issue(
        make_line(quantity=Decimal("-24.5"), amount=Decimal("-2.02"), tax_amount=Decimal("-0.51"))
    )
    bench.admin.fault("status", method="PUT", path="Allocations", status=400)
    assert f"{note}: quarantined" in bench.publish().describe()
    assert bench.publish().exit_code == 0
    assert len(bench.live(note)[0]["Allocations"]) == 1
