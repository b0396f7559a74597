"""Approving by hand: bound to a person, a reason and the lines of the moment."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from exporters.close import CloseError, RefusedError, approve, decide, issue
from exporters.ledger import Ledger, tables

STATEMENT = "acme/2026-10/all"


def test_an_approval_keeps_who_why_and_where(marts: Any, ledger: Ledger) -> None:
    fake = marts.put(STATEMENT, decision="needs_approval", reason="why")
    report = approve(marts.path, ledger, STATEMENT, by=" anna ", reason="meter swap explained")
    (row,) = ledger.query(select(tables.approvals))
    assert row["approved_by"] == "anna"
    assert row["reason"] == "meter swap explained"
    assert (row["os_user"], row["host"], row["automatic"]) == ("os-tester", "host-1", False)
    assert row["content_hash"] == fake.content_hash
    assert report.recorded
    assert not report.needs_person
    assert report.describe() == [f"{STATEMENT}: EUR 188.13, approved by anna"]


def test_approving_twice_writes_once(marts: Any, ledger: Ledger) -> None:
    marts.put(STATEMENT, decision="needs_approval")
    approve(marts.path, ledger, STATEMENT, by="anna", reason="ok")
    again = approve(marts.path, ledger, STATEMENT, by="anna", reason="still ok")
    assert not again.recorded
    assert len(ledger.query(select(tables.approvals))) == 1


def test_two_owners_ask_for_two_different_approvers(marts: Any, ledger: Ledger, clock: Any) -> None:
    marts.put(STATEMENT, decision="needs_approval")
    marts.payer("acme", approval_owner="anna|bo")
    first = approve(marts.path, ledger, STATEMENT, by="anna", reason="ok")
    assert first.needs_person
    assert "2 different approvers" in first.standing
    approve(marts.path, ledger, STATEMENT, by="anna", reason="ok again")
    refused = issue(marts.path, ledger, "2026-10", clock=clock, code_version="c1")
    assert refused.needs_person
    second = approve(marts.path, ledger, STATEMENT, by="bo", reason="ok too")
    assert second.approved
    assert issue(marts.path, ledger, "2026-10", clock=clock, code_version="c1").count("issued") == 1


def test_an_unknown_statement_names_near_ones(marts: Any, ledger: Ledger) -> None:
    marts.put(STATEMENT)
    marts.put("bolt/2026-10/all")
    with pytest.raises(CloseError, match=r"did you mean acme/2026-10/all"):
        approve(marts.path, ledger, "acme/2026-10/al", by="anna", reason="ok")
    with pytest.raises(CloseError, match="<payer_id>/<YYYY-MM>/<group>"):
        approve(marts.path, ledger, "zzz", by="anna", reason="ok")


@pytest.mark.parametrize(("by", "reason"), [("", "ok"), ("anna", "  ")])
def test_a_name_and_a_reason_are_needed(marts: Any, ledger: Ledger, by: str, reason: str) -> None:
    marts.put(STATEMENT)
    with pytest.raises(CloseError, match=r"--by.*--reason"):
        approve(marts.path, ledger, STATEMENT, by=by, reason=reason)


def test_a_blocked_statement_cannot_be_approved(marts: Any, ledger: Ledger) -> None:
    marts.put(STATEMENT, decision="blocked", reason="no tax rule for IS", blocking=1)
    with pytest.raises(RefusedError, match="blocked: no tax rule for IS"):
        approve(marts.path, ledger, STATEMENT, by="anna", reason="ok")


def test_an_issued_statement_cannot_be_approved(marts: Any, ledger: Ledger, clock: Any) -> None:
    marts.put(STATEMENT)
    decide(marts.path, ledger, "2026-10", clock=clock)
    issue(marts.path, ledger, "2026-10", clock=clock, code_version="c1")
    with pytest.raises(RefusedError, match="issued already, as acme-0001"):
        approve(marts.path, ledger, STATEMENT, by="anna", reason="ok")


def test_an_empty_statement_cannot_be_approved(marts: Any, ledger: Ledger) -> None:
    marts.put(STATEMENT, amounts=())
    with pytest.raises(RefusedError, match="no lines"):
        approve(marts.path, ledger, STATEMENT, by="anna", reason="ok")


def test_what_was_looked_at_must_be_what_is_approved(marts: Any, ledger: Ledger) -> None:
    seen = marts.put(STATEMENT).content_hash
    marts.put(STATEMENT, salt="re-rated meanwhile")
    with pytest.raises(RefusedError, match="changed since you looked"):
        approve(marts.path, ledger, STATEMENT, by="anna", reason="ok", content_hash=seen)
