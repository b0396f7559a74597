"""After a restore nobody is reminded or told of an alert before the ledger was reconciled, and what
lies in the outbox counts as sent."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from exporters.alerts import tell_alerts
from exporters.ledger import Actor, copies, tables
from exporters.ledger.copies import back_up
from exporters.ledger.errors import NotReconciledError
from exporters.reconcile.reconcile import reconcile
from tests.integration.collections.conftest import World


def put_back(world: World, copy: Path) -> None:
    copies.restore(
        f"sqlite:///{world.folder / 'ledger.sqlite'}",
        copy,
        clock=lambda: world.now,
        actor=Actor("t", "t", "t"),
        source="a copy",
        kept_aside=world.folder / "aside",
        lose_newer=True,
    )


def stages(world: World) -> set[tuple[str, str]]:
    rows = world.ledger.query(select(tables.reminders))
    return {(row["statement_number"], row["stage"]) for row in rows}


def test_what_was_sent_since_the_copy_is_not_sent_again(world: World) -> None:
    world.issue(due=date(2026, 11, 2))
    world.issue("JKT-0001", due=date(2026, 11, 2), payer="JKT")  # told in Indonesian
    copy = back_up(world.ledger, world.folder / "copy.sqlite").path
    first = world.remind()
    assert len(first.messages) == 2
    world.now += timedelta(days=7)
    assert len(world.remind().messages) == 2
    reached = stages(world)
    letters = sorted(world.outbox.glob("*.eml"))
    assert len(letters) == 4

    put_back(world, copy)

    world.now += timedelta(days=3)  # a Monday
    with pytest.raises(NotReconciledError, match="run m2c reconcile"):
        world.remind()
    assert len(world.remind(apply=False).messages) == 2  # the plan may be looked at
    found = reconcile(world.ledger, world.marts, outbox_dir=world.outbox)
    assert not found.complete  # documents are in Xero, which nobody compared
    assert stages(world) == reached
    assert "reminded as far as second_reminder, as the outbox knows" in "\n".join(found.describe())
    with pytest.raises(NotReconciledError):
        world.remind()
    assert world.remind(apply=False).messages == ()
    assert sorted(world.outbox.glob("*.eml")) == letters


def test_no_alert_is_told_before_it_is_reconciled(world: World) -> None:
    copy = back_up(world.ledger, world.folder / "copy.sqlite").path
    put_back(world, copy)
    alert = {
        "alert_key": "C-1/2026-11/energy_kwh/100",
        "period": "2026-11",
        "contract_id": "C-1",
        "customer_id": "CU-1",
        "customer_name": "Customer",
        "measure": "energy_kwh",
        "threshold_in_words": "100 kWh",
        "detail": "reached",
    }

    def tell() -> list[str]:
        report = tell_alerts(
            [alert],
            world.ledger,
            clock=lambda: world.now,
            outbox_dir=world.outbox,
            sender="a@b.example",
            recipients=("c@d.example",),
        )
        return [f"{n.status}: {n.problem}" for n in report.notices]

    (told,) = tell()
    assert told.startswith("not_told: the ledger was put back to an older copy")
    assert not list(world.outbox.glob("*.eml"))
    assert reconcile(world.ledger, world.marts, outbox_dir=world.outbox).complete
    assert tell() == ["told: None"]


@pytest.mark.parametrize("header", [True, False], ids=["as sent now", "as sent by older versions"])
def test_the_outbox_tells_stages_in_whatever_words(world: World, header: bool) -> None:
    world.issue()
    if header:  # without it only built-in words are known again
        world.texts.mkdir()
        words = "templates: {friendly_reminder: {name: A note from us}}\n"
        (world.texts / "en.yml").write_text(words, "utf-8")
    copy = back_up(world.ledger, world.folder / "copy.sqlite").path
    world.remind()
    (letter,) = world.outbox.glob("*.eml")
    if not header:
        lines = letter.read_bytes().split(b"\r\n")
        letter.write_bytes(b"\r\n".join(x for x in lines if not x.startswith(b"X-M2C-Stages")))
    put_back(world, copy)
    reconcile(world.ledger, world.marts, outbox_dir=world.outbox)
    assert stages(world) == {("NORDIC-0001", "friendly_reminder")}
