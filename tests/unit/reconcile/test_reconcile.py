"""A ledger that was put back to an older copy: nothing is sent from it until it was compared with
what marts, outbox and Xero know of the time that it lost, and no number is ever given twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import select

from exporters.close.issue import _next_number
from exporters.ledger import Actor, KnownHead, Ledger, Reader, copies, restored, tables
from exporters.ledger.actions import ActionError
from exporters.ledger.copies import back_up
from exporters.ledger.errors import NotReconciledError
from exporters.reconcile.gate import require_reconciled, why_not_reconciled
from exporters.reconcile.kept import all_marts, heads_in_marts, keep_marts
from exporters.reconcile.reconcile import Reconciliation, issue_again, reconcile
from exporters.reconcile.settling import Settlement

MARTS = """
CREATE TABLE build_info (ledger_head VARCHAR);
CREATE TABLE statements (statement_id VARCHAR, statement_number VARCHAR, period VARCHAR,
    payer_id VARCHAR, total DECIMAL(18,2), currency VARCHAR, state VARCHAR);
CREATE TABLE collections (statement_number VARCHAR, payer_id VARCHAR, policy_id VARCHAR,
    last_stage VARCHAR);
CREATE TABLE invoices (xero_id VARCHAR, publish_state VARCHAR);
CREATE TABLE payers (payer_id VARCHAR, dunning_policy VARCHAR);
CREATE TABLE dunning_stages (policy_id VARCHAR, stage_no INTEGER, stage VARCHAR,
    template VARCHAR);
INSERT INTO payers VALUES ('acme', 'standard');
INSERT INTO dunning_stages VALUES ('standard', 1, 'first', null), ('standard', 2, 'second', null),
    ('standard', 3, 'final', null);
"""


class World:
    """A ledger, the marts built from it, and a copy of the ledger to go back to."""

    def __init__(self, folder: Path, url: str) -> None:
        moments = iter(
            datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=n) for n in range(9999)
        )
        self.folder, self.url = folder, url
        self.clock = lambda: next(moments)
        self.ledger = Ledger.open(url, clock=self.clock, actor=Actor("t", "t", "t"))
        self.marts = folder / "published" / "marts.duckdb"
        self.outbox = folder / "outbox"

    def issue(self, number: int, payer: str = "acme") -> str:
        name = f"{payer}-{number:04d}"
        self.ledger.record(
            tables.issued_statements,
            statement_id=f"{payer}/2026-{number:02d}/all",
            statement_number=name,
            series=payer,
            series_no=number,
            period=f"2026-{number:02d}",
            statement_kind="consolidated",
            payer_id=payer,
            seller_id="main",
            currency="EUR",
            net=Decimal("10.00"),
            tax=Decimal("2.50"),
            total=Decimal("12.50"),
            content_hash="0" * 64,
            book_version="b-0",
            code_version="test",
            issue_date=date(2026, 11, 1),
            due_date=date(2026, 11, 15),
        )
        return name

    def build(self, *, reminded: dict[str, str] | None = None, xero: bool = False) -> None:
        """Marts as a build makes them of the ledger as it is now."""
        self.marts.parent.mkdir(parents=True, exist_ok=True)
        partial = self.marts.with_suffix(".next")
        with duckdb.connect(str(partial)) as con:
            con.execute(MARTS)
            con.execute("INSERT INTO build_info VALUES (?)", [self.ledger.head().hash])
            for row in self.ledger.query(select(tables.issued_statements)):
                con.execute(
                    "INSERT INTO statements VALUES (?, ?, ?, ?, ?, ?, 'issued')",
                    [row[c] for c in ("statement_id", "statement_number", "period", "payer_id",
                                      "total", "currency")],
                )  # fmt: skip
                seen = ["x-1", "published"] if xero else [None, "not_published"]
                con.execute("INSERT INTO invoices VALUES (?, ?)", seen)
            for number, stage in (reminded or {}).items():
                con.execute(
                    "INSERT INTO collections VALUES (?, 'acme', 'standard', ?)", [number, stage]
                )
        partial.replace(self.marts)

    def back_up(self) -> Path:
        return back_up(self.ledger, self.folder / "copy.sqlite").path

    def put_back(self, copy: Path) -> None:
        keep_marts(self.marts)
        copies.restore(
            self.url,
            copy,
            clock=self.clock,
            actor=Actor("t", "t", "t"),
            source=f"copy {copy.name}",
            kept_aside=self.folder / "aside",
            lose_newer=True,
        )

    def reconcile(self, **more: Any) -> Reconciliation:
        return reconcile(self.ledger, self.marts, outbox_dir=self.outbox, **more)

    def next_number(self) -> int:
        with self.ledger.snapshot() as reader:
            return _next_number(reader, "acme")


@pytest.fixture
def world(tmp_path: Path, ledger_url: str) -> Iterator[World]:
    made = World(tmp_path, ledger_url)
    yield made
    made.ledger.close()


@pytest.fixture
def lossy(world: World) -> World:
    """A ledger that lost its second and third statement, which the marts know."""
    world.issue(1)
    copy = world.back_up()
    world.issue(2)
    world.issue(3)
    world.build()
    world.put_back(copy)
    return world


def test_a_ledger_that_was_never_put_back_needs_nothing(world: World) -> None:
    world.issue(1)
    world.build()
    require_reconciled(world.ledger, world.marts)
    found = world.reconcile()
    assert (found.complete, found.needs_person, found.recorded) == (True, False, {})
    assert "nothing to reconcile" in found.describe()[0]
    assert world.ledger.head().facts == 1


def test_nothing_is_sent_before_and_no_number_given_twice_after(lossy: World) -> None:
    with pytest.raises(NotReconciledError, match=r"put back to an older copy .* m2c reconcile"):
        require_reconciled(lossy.ledger, lossy.marts)
    assert lossy.next_number() == 2

    found = lossy.reconcile()

    assert found.complete
    assert found.xero == "never_used"
    assert found.recorded == {"lost_statements": 2, "series_advances": 1}
    assert lossy.next_number() == 4
    require_reconciled(lossy.ledger, lossy.marts)
    words = "\n".join(found.describe())
    assert "acme-0003 (acme/2026-03/all, EUR 12.50) was issued" in words
    assert "the numbers of acme go on behind acme-0003; the ledger had 1" in words
    assert found.needs_person  # two statements were lost
    (advance,) = lossy.ledger.query(select(tables.series_advances))
    assert "acme-0003" in advance["reason"]
    assert lossy.ledger.verify() == ()


def test_again_it_writes_nothing(lossy: World) -> None:
    lossy.reconcile()
    head = lossy.ledger.head()
    again = lossy.reconcile()
    assert again.complete
    assert lossy.ledger.head() == head


def test_a_dry_run_shows_it_and_writes_nothing(lossy: World) -> None:
    head = lossy.ledger.head()
    found = lossy.reconcile(dry_run=True)
    assert found.recorded == {"lost_statements": 2, "series_advances": 1}
    assert "would be reconciled" in found.describe()
    assert lossy.ledger.head() == head
    assert why_not_reconciled(lossy.ledger, lossy.marts) is not None


def test_what_the_marts_know_outlives_the_next_build(lossy: World) -> None:
    """A nightly build of the older ledger replaces the published marts."""
    lossy.build()
    assert lossy.reconcile().recorded["series_advances"] == 1
    assert lossy.next_number() == 4


def test_a_lost_statement_goes_out_again_only_if_somebody_says_so(lossy: World) -> None:
    lossy.reconcile()
    with lossy.ledger.snapshot() as reader:
        lost = restored.lost_statement(reader, "acme/2026-02/all")
        assert lost is not None
        assert lost["statement_number"] == "acme-0002"
        assert restored.lost_statement(reader, "acme/2026-01/all") is None
    with pytest.raises(ActionError, match="no lost statement"):
        issue_again(lossy.ledger, "acme/2026-01/all", by="anna", reason="r")
    with pytest.raises(ActionError, match="who"):
        issue_again(lossy.ledger, "acme-0002", by=" ", reason="r")
    issue_again(lossy.ledger, "acme-0002", by="anna", reason="never left the house")
    with lossy.ledger.snapshot() as reader:
        assert restored.lost_statement(reader, "acme/2026-02/all") is None
        assert restored.lost_statement(reader, "acme/2026-03/all") is not None


@pytest.mark.parametrize("known_by", ["ledger", "marts"])
def test_a_ledger_that_used_xero_stays_shut_while_xero_is_not_compared(
    world: World, known_by: str
) -> None:
    world.issue(1)
    if known_by == "ledger":
        world.ledger.intent("xero.create", subject="acme-0001", body={})
    copy = world.back_up()
    world.issue(2)
    world.build(xero=known_by == "marts")
    world.put_back(copy)
    found = world.reconcile()
    assert not found.complete
    assert found.xero == "not_compared"
    assert "Xero was not compared" in found.open[0]
    assert world.next_number() == 3  # what could be done is done
    with pytest.raises(NotReconciledError):
        require_reconciled(world.ledger, world.marts)
    head = world.ledger.head()
    assert not world.reconcile().complete
    assert world.ledger.head() == head


class ReadsXero:
    """A step in the place of the one that reads Xero."""

    name = "Xero"
    state = "not_compared"
    looked = False

    def look(self) -> None:
        self.looked = True

    def settle(self, reader: Reader) -> Settlement:
        assert self.looked
        self.state = "compared"
        assert reader.head().facts > 0
        advance = {"series": "acme", "series_no": 9, "reason": "acme-0009 is in Xero"}
        return Settlement(words=("acme-0009 is there",), facts=(("series_advances", advance),))


def test_a_step_that_reads_xero_is_plugged_in(lossy: World) -> None:
    lossy.ledger.intent("xero.create", subject="acme-0001", body={})
    found = lossy.reconcile(xero=ReadsXero())
    assert found.complete
    assert found.xero == "compared"
    assert lossy.next_number() == 10
    require_reconciled(lossy.ledger, lossy.marts)


def test_reminder_stages_are_set_to_at_least_what_was_sent(world: World) -> None:
    world.issue(1)
    world.ledger.record(
        "reminders", statement_number="acme-0001", stage="first", payer_id="acme",
        policy_id="standard", message_id="m-1",
    )  # fmt: skip
    copy = world.back_up()
    world.issue(2)
    world.build(reminded={"acme-0001": "final", "acme-0002": "first"})
    world.put_back(copy)
    found = world.reconcile()
    assert found.recorded["reminders"] == 2
    rows = world.ledger.query(select(tables.reminders).order_by(tables.reminders.c.id))
    assert [(r["statement_number"], r["stage"], r["message_id"]) for r in rows] == [
        ("acme-0001", "first", "m-1"),
        ("acme-0001", "second", None),
        ("acme-0001", "final", None),
    ]


def test_a_spoiled_ledger_is_not_reconciled(lossy: World, ledger_file: Path) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(ledger_file)) as con:
        con.execute("DROP TRIGGER issued_statements_no_update")
        con.execute("UPDATE issued_statements SET total = '1.00'")
        con.commit()
    head = lossy.ledger.head()
    found = lossy.reconcile()
    assert not found.complete
    assert "issued_statements 1 was altered" in found.open[0]
    assert lossy.ledger.head() == head


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    return tmp_path / "ledger" / "ledger.sqlite"


def by_hand(world: World, copy: Path, ledger_file: Path) -> None:
    """The copy over the ledger, as `cp` does it: nothing is written down."""
    world.ledger.close()
    for suffix in ("", "-wal", "-shm"):
        ledger_file.with_name(ledger_file.name + suffix).unlink(missing_ok=True)
    ledger_file.write_bytes(copy.read_bytes())
    world.ledger = Ledger.open(world.url, clock=world.clock, actor=Actor("t", "t", "t"))


def test_a_ledger_put_back_by_hand_is_found_by_the_marts(world: World, ledger_file: Path) -> None:
    world.issue(1)
    copy = world.back_up()
    world.issue(2)
    lost = world.ledger.head().hash
    world.build()
    by_hand(world, copy, ledger_file)
    with pytest.raises(NotReconciledError, match="another ledger or an older copy"):
        require_reconciled(world.ledger, world.marts)
    assert world.reconcile().complete
    assert world.next_number() == 3
    (restore,) = world.ledger.query(select(tables.restores))
    assert restore["replaced_head"] == lost
    assert "found by m2c reconcile" in restore["source"]
    # The marts that know the lost head are still there, and are accounted for.
    require_reconciled(world.ledger, world.marts)
    with world.ledger.snapshot() as reader:
        assert restored.accounted_heads(reader) == {lost}


def test_a_head_of_a_backup_is_accounted_for(lossy: World) -> None:
    head = KnownHead("f" * 64, "backup 7", 99)
    assert lossy.reconcile(known_heads=[head]).complete
    with lossy.ledger.snapshot() as reader:
        assert "f" * 64 in restored.accounted_heads(reader)
    assert [fault.kind for fault in lossy.ledger.verify(heads=[head])] == ["cut"]


def test_a_second_restore_asks_for_a_second_reconciliation(lossy: World) -> None:
    lossy.reconcile()
    copy = back_up(lossy.ledger, lossy.folder / "later.sqlite").path
    lossy.ledger.record("holds", scope="payer", subject="acme", active=True, reason="r", by="b")
    lossy.put_back(copy)
    with pytest.raises(NotReconciledError):
        require_reconciled(lossy.ledger, lossy.marts)
    assert lossy.reconcile().complete
    require_reconciled(lossy.ledger, lossy.marts)


def test_marts_are_kept_once_and_readers_keep_theirs(world: World) -> None:
    assert keep_marts(world.marts) is None
    world.issue(1)
    world.build()
    head = world.ledger.head().hash
    with duckdb.connect(str(world.marts), read_only=True) as reader:
        kept = keep_marts(world.marts)
        assert keep_marts(world.marts) == kept
        assert reader.execute("SELECT count(*) FROM statements").fetchone() == (1,)
    world.issue(2)
    world.build()
    assert kept is not None
    assert all_marts(world.marts) == (kept, world.marts)
    assert {known.hash for known in heads_in_marts(world.marts)} == {
        head,
        world.ledger.head().hash,
    }
