"""Closing a period: what is written, what is approved by itself, and that it can be repeated."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from exporters.close import CloseError, approve, decide, issue, poorly_measured
from exporters.ledger import Ledger, LedgerError, tables
from exporters.marts import MartsError, open_marts

OCTOBER = "2026-10"


def facts(ledger: Ledger, table: Any) -> list[dict[str, Any]]:
    return ledger.query(select(table).order_by(table.c.id))


def test_an_automatic_approval_names_the_content_hash(
    marts: Any, ledger: Ledger, clock: Any
) -> None:
    fake = marts.put("acme/2026-10/all")
    report = decide(marts.path, ledger, OCTOBER, clock=clock)
    (approval,) = facts(ledger, tables.approvals)
    assert approval["content_hash"] == fake.content_hash
    assert approval["automatic"] is True
    assert approval["reason"] == fake.reason
    (decision,) = facts(ledger, tables.close_decisions)
    assert (decision["decision"], str(decision["total"])) == ("auto", "188.13")
    assert [found.state for found in report.statements] == ["approved"]
    assert not report.needs_person


def test_repeating_a_close_writes_nothing(marts: Any, ledger: Ledger, clock: Any) -> None:
    marts.put("acme/2026-10/all")
    marts.put("bolt/2026-10/all", decision="needs_approval", reason="42 % above the median")
    first = decide(marts.path, ledger, OCTOBER, clock=clock)
    head = ledger.head()
    second = decide(marts.path, ledger, OCTOBER, clock=clock)
    assert ledger.head() == head
    assert (first.decisions_written, first.approvals_written) == (2, 1)
    assert (second.decisions_written, second.approvals_written) == (0, 0)
    assert second.statements == first.statements


def test_changed_lines_are_decided_and_approved_anew(
    marts: Any, ledger: Ledger, clock: Any
) -> None:
    marts.put("acme/2026-10/all")
    decide(marts.path, ledger, OCTOBER, clock=clock)
    marts.put("acme/2026-10/all", amounts=(("90.00", "10.00"),))
    report = decide(marts.path, ledger, OCTOBER, clock=clock)
    assert (report.decisions_written, report.approvals_written) == (1, 1)
    assert len({row["content_hash"] for row in facts(ledger, tables.approvals)}) == 2


def test_a_block_or_a_wait_needs_a_person(marts: Any, ledger: Ledger, clock: Any) -> None:
    marts.put("acme/2026-10/all", decision="blocked", reason="no tax rule", blocking=1)
    marts.put("bolt/2026-10/all", decision="needs_approval", reason="42 % above the median")
    report = decide(marts.path, ledger, OCTOBER, clock=clock)
    assert report.needs_person
    assert [found.state for found in report.statements] == ["blocked", "needs_approval"]
    assert facts(ledger, tables.approvals) == []
    words = report.describe()
    assert words[0] == "2026-10: 2 statements: 1 waiting for approval, 1 blocked"
    assert words[1] == "  acme/2026-10/all: EUR 188.13, blocked: no tax rule"
    assert "42 % above the median" in words[2]


def test_a_blocking_exception_beats_an_automatic_decision(
    marts: Any, ledger: Ledger, clock: Any
) -> None:
    marts.put("acme/2026-10/all", decision="auto", blocking=2)
    report = decide(marts.path, ledger, OCTOBER, clock=clock)
    assert [found.state for found in report.statements] == ["blocked"]
    assert facts(ledger, tables.close_decisions)[0]["decision"] == "blocked"


def test_a_dry_run_says_the_same_and_writes_nothing(marts: Any, ledger: Ledger, clock: Any) -> None:
    marts.put("acme/2026-10/all")
    marts.put("bolt/2026-10/all", decision="needs_approval", reason="why")
    dry = decide(marts.path, ledger, OCTOBER, clock=clock, dry_run=True)
    assert ledger.head().facts == 0
    wet = decide(marts.path, ledger, OCTOBER, clock=clock)
    assert dry.statements == wet.statements


def test_a_running_month_is_a_preview(marts: Any, ledger: Ledger) -> None:
    marts.put("acme/2026-10/all")

    def before_midnight_in_helsinki() -> datetime:
        return datetime(2026, 10, 31, 21, 59, 59, tzinfo=UTC)

    def at_midnight_in_helsinki() -> datetime:
        return datetime(2026, 10, 31, 22, 0, tzinfo=UTC)

    early = decide(marts.path, ledger, OCTOBER, clock=before_midnight_in_helsinki)
    assert [found.state for found in early.statements] == ["running"]
    assert not early.needs_person
    assert facts(ledger, tables.approvals) == []
    late = decide(marts.path, ledger, OCTOBER, clock=at_midnight_in_helsinki)
    assert [found.state for found in late.statements] == ["approved"]


def test_issued_statements_are_left_alone(marts: Any, ledger: Ledger, clock: Any) -> None:
    marts.put("acme/2026-10/all")
    decide(marts.path, ledger, OCTOBER, clock=clock)
    issue(marts.path, ledger, OCTOBER, clock=clock, code_version="c1")
    head = ledger.head()
    marts.put("acme/2026-10/all", salt="re-rated", decision="blocked", blocking=1)
    report = decide(marts.path, ledger, OCTOBER, clock=clock)
    assert [found.state for found in report.statements] == ["issued"]
    assert not report.needs_person
    assert ledger.head() == head


def test_an_approval_by_hand_counts(marts: Any, ledger: Ledger, clock: Any) -> None:
    marts.put("acme/2026-10/all", decision="needs_approval", reason="why")
    approve(marts.path, ledger, "acme/2026-10/all", by="anna", reason="checked")
    report = decide(marts.path, ledger, OCTOBER, clock=clock)
    assert [found.state for found in report.statements] == ["approved"]
    assert report.statements[0].approved_by == ("anna",)


def test_stale_marts_are_refused(marts: Any, ledger: Ledger, clock: Any) -> None:
    marts.put("acme/2026-09/all")
    decide(marts.path, ledger, "2026-09", clock=clock)
    issue(marts.path, ledger, "2026-09", clock=clock, code_version="c1")
    marts.put("acme/2026-10/all")
    with pytest.raises(MartsError, match=r"acme-0001 of 2026-09 the first.*run m2c build first"):
        decide(marts.path, ledger, OCTOBER, clock=clock)
    marts.put("acme/2026-09/all", state="issued")
    assert decide(marts.path, ledger, OCTOBER, clock=clock).approvals_written == 1


def test_the_report_is_json_ready(marts: Any, ledger: Ledger, clock: Any) -> None:
    marts.put("acme/2026-10/all")
    with open_marts(marts.path) as opened:
        report = decide(opened, ledger, OCTOBER, clock=clock)
    plain = json.loads(json.dumps(report.as_dict()))
    assert plain["statements"][0]["total"] == "188.13"
    assert plain["needs_person"] is False


@pytest.mark.parametrize("period", ["2026-13", "202610", "2026-1", "october"])
def test_a_malformed_period_is_wrong_use(
    marts: Any, ledger: Ledger, clock: Any, period: str
) -> None:
    marts.put("acme/2026-10/all")
    with pytest.raises(CloseError, match="write it like 2026-10"):
        decide(marts.path, ledger, period, clock=clock)


def test_a_month_without_statements_says_so(marts: Any, ledger: Ledger, clock: Any) -> None:
    marts.put("acme/2026-10/all")
    report = decide(marts.path, ledger, "2026-09", clock=clock)
    assert report.describe() == ["2026-09: no statements"]


def test_a_ledger_that_lost_statements_is_refused(marts: Any, ledger: Ledger, clock: Any) -> None:
    marts.put("acme/2026-10/all", state="issued")
    with pytest.raises(LedgerError, match="acme/2026-10/all the first, that the ledger does not"):
        decide(marts.path, ledger, OCTOBER, clock=clock)
    assert ledger.head().facts == 0


def test_a_ledger_without_the_head_of_the_marts_is_refused(
    marts: Any, ledger: Ledger, clock: Any
) -> None:
    marts.put("acme/2026-10/all")
    decide(marts.path, ledger, OCTOBER, clock=clock)
    marts.ledger_head = ledger.head().hash
    marts.put("bolt/2026-10/all")
    decide(marts.path, ledger, OCTOBER, clock=clock)
    marts.ledger_head = "f" * 64
    marts.publish()
    with pytest.raises(LedgerError, match="which this ledger never had"):
        decide(marts.path, ledger, OCTOBER, clock=clock)


def test_a_block_is_told_in_words(marts: Any, ledger: Ledger, clock: Any) -> None:
    for no in range(5):
        marts.exceptions.append(
            {
                "exception_id": str(no),
                "kind": "missing_tax_rule",
                "severity": "blocking",
                "period": OCTOBER,
                "statement_id": "acme/2026-10/all",
                "detail": f"no rule for energy{no}",
            }
        )
    marts.put("acme/2026-10/all", decision="blocked", reason="5 blocking exceptions", blocking=5)
    (found,) = decide(marts.path, ledger, OCTOBER, clock=clock).statements
    assert found.reason == (
        "blocked: missing_tax_rule: no rule for energy0; missing_tax_rule: no rule for energy1; "
        "missing_tax_rule: no rule for energy2; and 2 more"
    )


def test_contracts_that_left_the_book_do_not_keep_a_month_open(
    marts: Any, ledger: Ledger, clock: Any
) -> None:
    marts.put("acme/2026-10/all", line={"contract_id": "C-gone"})
    report = decide(marts.path, ledger, OCTOBER, clock=clock)
    assert [found.state for found in report.statements] == ["approved"]


def site_days(site_id: str, received: dict[int, str]) -> list[dict[str, Any]]:
    """October of a site with one hourly meter; hours received on these days, 24 on the others."""
    rows = []
    for day in range(1, 32):
        hours = Decimal(received.get(day, "24"))
        rows.append(
            {
                "site_id": site_id,
                "usage_date": date(2026, 10, day),
                "expected_hours": Decimal(24),
                "received_hours": hours,
                "missing_hours": 24 - hours,
                "expected_intervals": 24,
                "received_intervals": int(hours),
                "last_reading_at": datetime(2026, 10, day, 23, tzinfo=UTC) if hours else None,
                "status": {Decimal(0): "nothing", Decimal(24): "complete"}.get(hours, "partial"),
            }
        )
    return rows


def test_the_report_names_incomplete_sites_with_their_numbers(
    marts: Any, ledger: Ledger, clock: Any
) -> None:
    dark = dict.fromkeys(range(20, 27), "0")
    marts.completeness = [
        *site_days("FI-HEL1", {**dark, 3: "12"}),
        *site_days("FI-TMP1", {5: "0"}),  # 3.2 %, but a whole day
        *site_days("NO-OSL1", {1: "0.4", 2: "9.6"}),  # 38 of 744 hours: 5.1 %
        *site_days("NO-TRD1", {1: "0.8", 2: "10"}),  # 37.2 of 744 hours: not more than 5 %
        {**site_days("NO-BGO1", {1: "0"})[0], "usage_date": date(2026, 9, 30)},
    ]
    marts.put("acme/2026-10/all", decision="needs_approval", reason="nothing was measured")
    marts.put("bolt/2026-10/all", line={"site_id": "NO-TRD1"})
    report = decide(marts.path, ledger, OCTOBER, clock=clock)
    assert [
        (s.site_id, s.missing_percent, len(s.unmeasured_days), s.partial_days, s.statement_ids)
        for s in report.incomplete_sites
    ] == [
        ("FI-HEL1", Decimal("24.1"), 7, 1, ("acme/2026-10/all",)),
        ("FI-TMP1", Decimal("3.2"), 1, 0, ()),
        ("NO-OSL1", Decimal("5.1"), 0, 2, ()),
    ]
    assert {s.statement_id: s.state for s in report.statements} == {
        "acme/2026-10/all": "needs_approval",
        "bolt/2026-10/all": "approved",
    }
    assert report.approved_by_rule == ("bolt/2026-10/all",)
    assert report.describe()[2:4] == [
        "  incomplete FI-HEL1: 564.0 of 744.0 machine-hours received, 24.1 % missing "
        "(564 of 744 intervals); nothing on 2026-10-20, 2026-10-21, 2026-10-22, 2026-10-23, "
        "2026-10-24 and 2 more days; 1 statement has lines of it",
        "  incomplete FI-TMP1: 720.0 of 744.0 machine-hours received, 3.2 % missing "
        "(720 of 744 intervals); nothing on 2026-10-05; 0 statements have lines of it",
    ]
    told = json.loads(json.dumps(report.as_dict()))["incomplete_sites"][1]
    assert (told["site_id"], told["received_hours"], told["unmeasured_days"]) == (
        "FI-TMP1",
        "720.000000000",
        ["2026-10-05"],
    )


def test_what_was_approved_by_rule_though_poorly_measured_is_found(
    marts: Any, ledger: Ledger, clock: Any
) -> None:
    share = {"missing_or_estimated_share": "0.0510"}
    marts.add("acme/2026-10/all", statement=share)
    marts.add("bolt/2026-10/all", statement={"missing_or_estimated_share": "0.0500"})
    marts.put("calm/2026-10/all", statement=share, decision="needs_approval")
    report = decide(marts.path, ledger, OCTOBER, clock=clock)
    with open_marts(marts.path) as opened:
        assert poorly_measured(opened, OCTOBER, report.approved_by_rule) == {
            "acme/2026-10/all": Decimal("0.0510")
        }


def test_a_month_under_way_is_previewed_with_its_projection(marts: Any, ledger: Ledger) -> None:
    until = datetime(2026, 10, 11, 22, tzinfo=UTC)
    measured = {"measured_until": until, "projected_total": Decimal("600.00")}
    marts.put("acme/2026-10/all", state="open", statement=measured)
    marts.put("bolt/2026-10/all", state="open", statement=measured | {"measured_until": None})
    report = decide(
        marts.path, ledger, OCTOBER, clock=lambda: datetime(2026, 10, 12, tzinfo=UTC), dry_run=True
    )
    assert report.describe() == [
        "2026-10: 2 statements: 2 previewed (the month is not over) (dry run)",
        "  so far EUR 376.26 (measured up to 2026-10-11 22:00 UTC), at this rate about"
        " EUR 1,200.00 at the end of the month",
    ]
    assert not report.needs_person
