"""A ledger that was put back to an older copy learns from Xero what it lost, before it may act."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import select

from exporters.ledger import Actor, copies, restored, tables
from exporters.ledger.copies import back_up
from exporters.ledger.errors import NotReconciledError
from exporters.reconcile.reconcile import Reconciliation, reconcile
from exporters.xero import records
from exporters.xero.reading_back import XeroReadBack

BUILT = """
ALTER TABLE payers ADD COLUMN dunning_policy VARCHAR;
CREATE TABLE build_info (ledger_head VARCHAR);
CREATE TABLE statements (statement_id VARCHAR, statement_number VARCHAR, period VARCHAR,
    payer_id VARCHAR, total DECIMAL(18,2), currency VARCHAR, state VARCHAR);
CREATE TABLE collections (statement_number VARCHAR, payer_id VARCHAR, policy_id VARCHAR,
    last_stage VARCHAR);
CREATE TABLE invoices (xero_id VARCHAR, publish_state VARCHAR);
CREATE TABLE dunning_stages (policy_id VARCHAR, stage_no INTEGER, stage VARCHAR, template VARCHAR);
"""


class Restorable:
    """The bench with marts that reconciling reads, and a way back to a copy of the ledger."""

    def __init__(self, bench: Any, folder: Path) -> None:
        self.bench, self.folder = bench, folder
        marts = folder / "published" / "marts.duckdb"
        marts.parent.mkdir()
        shutil.copy(bench.marts, marts)
        bench.marts = marts
        with duckdb.connect(str(marts)) as con:
            con.execute(BUILT)

    def back_up(self) -> Path:
        return back_up(self.bench.ledger, self.folder / "copy.sqlite").path

    def put_back(self, copy: Path) -> None:
        copies.restore(
            self.bench.ledger.url,
            copy,
            clock=self.bench.clock,
            actor=Actor("t", "t", "t"),
            source=f"copy {copy.name}",
            kept_aside=self.folder / "aside",
            lose_newer=True,
        )

    def rated(self, statement_id: str, *, payer: str = "payer1", total: str = "124.21") -> None:
        """A statement that the rebuilt marts show, not issued."""
        with duckdb.connect(str(self.bench.marts)) as con:
            con.execute(
                "INSERT INTO statements VALUES (?, NULL, '2026-10', ?, ?, 'EUR', 'approved')",
                [statement_id, payer, Decimal(total)],
            )

    def reconcile(self, *, dry_run: bool = False) -> Reconciliation:
        bench = self.bench
        step = XeroReadBack(bench.ledger, bench.marts, config=bench.config, clock=bench.clock)
        outbox = self.folder / "outbox"
        return reconcile(bench.ledger, bench.marts, outbox_dir=outbox, xero=step, dry_run=dry_run)


@pytest.fixture
def restorable(bench: Any, tmp_path: Path) -> Restorable:
    """A bench of which a copy can be put back."""
    return Restorable(bench, tmp_path)


def test_a_statement_whose_issue_was_lost_is_not_issued_again(restorable: Restorable) -> None:
    bench = restorable.bench
    bench.issue()
    bench.publish()
    copy = restorable.back_up()
    lost = bench.issue()
    bench.publish()
    restorable.put_back(copy)
    restorable.rated("payer1/2026-10/all")
    with pytest.raises(NotReconciledError):
        bench.publish()
    before = bench.facts()
    assert restorable.reconcile(dry_run=True).complete
    assert bench.facts() == before

    found = restorable.reconcile()

    assert found.complete, found.describe()
    assert found.xero == "compared"
    assert found.recorded == {"series_advances": 1, "lost_statements": 1}
    with bench.ledger.snapshot() as reader:
        told = restored.lost_statement(reader, "payer1/2026-10/all")
    assert told is not None
    assert (told["statement_number"], told["total"]) == (lost, Decimal("124.21"))
    advance = bench.ledger.first(select(tables.series_advances))
    assert (advance["series"], advance["series_no"]) == ("payer1", 2)
    assert lost in " ".join(found.to_settle)
    bench.writes()
    assert bench.publish().exit_code == 0
    assert bench.writes() == []


def credit_of(make_line: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return make_line(
        quantity=Decimal("-24.5"), amount=Decimal("-2.02"), tax_amount=Decimal("-0.51")
    )


def test_documents_of_statements_that_the_ledger_holds_are_taken_for_its_own(
    restorable: Restorable, make_line: Callable[..., dict[str, Any]]
) -> None:
    bench = restorable.bench
    number, note = bench.issue(), bench.issue(credit_of(make_line), payer="payer2")
    copy = restorable.back_up()
    bench.publish()
    restorable.put_back(copy)
    assert records.read_histories(bench.ledger, [number])[number].xero_id is None

    found = restorable.reconcile()

    assert found.complete, found.describe()
    assert found.recorded == {"intents": 2, "outcomes": 2, "documents": 2}
    assert records.read_histories(bench.ledger, [note])[note].xero_id is not None
    assert bench.document(note)["total"] == Decimal("-2.53")
    bench.writes()
    report = bench.publish()
    assert (report.exit_code, {x.action for x in report.lines}) == (0, {"finish"})
    assert not [w for w in bench.writes() if w.startswith("PUT /Invoices")]
    assert len(bench.live(number)) == len(bench.live(note)) == 1
    assert not restorable.reconcile().recorded


def test_an_attempt_of_unknown_outcome_is_settled(restorable: Restorable) -> None:
    bench = restorable.bench
    number = bench.issue()
    bench.admin.fault("hang", method="PUT", path="^/Invoices$", when="after", seconds=0.6, times=9)
    bench.admin.fault("hang", method="GET", path="^/Invoices$", skip=1, seconds=0.6, times=9)
    bench.publish(read_seconds=0.3)
    copy = restorable.back_up()
    bench.admin.call("clear-faults")
    bench.publish()
    restorable.put_back(copy)
    found = restorable.reconcile()
    assert found.complete, found.describe()
    assert found.recorded == {"outcomes": 1, "documents": 1}
    assert len(bench.live(number)) == 1
    assert bench.publish().exit_code == 0
    with bench.ledger.snapshot() as reader:
        assert reader.open_intents() == []


def test_a_document_that_nothing_here_explains_keeps_acting_refused(
    restorable: Restorable,
) -> None:
    bench = restorable.bench
    bench.issue()
    copy = restorable.back_up()
    lost = bench.issue()
    bench.publish()
    restorable.put_back(copy)
    restorable.rated("payer1/2026-10/all", total="99.00")
    found = restorable.reconcile()
    assert not found.complete
    assert f"{lost} (EUR 124.21) is in Xero" in found.open[0]
    assert "run m2c build" in found.open[0]
    with pytest.raises(NotReconciledError):
        bench.publish()
    restorable.rated("payer1/2026-10/other")
    assert restorable.reconcile().complete


def test_xero_out_of_reach_keeps_acting_refused(restorable: Restorable) -> None:
    bench = restorable.bench
    bench.issue()
    copy = restorable.back_up()
    bench.publish()
    restorable.put_back(copy)
    bench.admin.fault("status", method="GET", path=".*", status=403)
    found = restorable.reconcile()
    assert (found.complete, found.xero) == (False, "not_compared")
    assert "was not compared" in found.open[0]
    assert restorable.reconcile().complete
