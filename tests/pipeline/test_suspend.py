"""Machines of the demo's payers are paused at their sites and run again, as a person does it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox import Sandbox
from exporters.ledger import Actor, Ledger
from exporters.xero.sandbox import XeroSandbox

SUSPEND_DAY = "2027-01-14"


@pytest.fixture
def sites(demo: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(
        book_dir=demo.place / "book",
        state_dir=tmp_path_factory.mktemp("sites"),
        seed=1,
        start=date(2026, 9, 30),
        end=date(2026, 11, 2),
        has_faults=False,
    ) as served:
        yield served


@pytest.fixture
def noticed(demo: Any, tmp_path: Path) -> Any:
    """AURORA was sent everything up to the final notice on 4 January."""
    place = demo.place.copy_to(tmp_path / "data")
    at = datetime(2027, 1, 4, 9, tzinfo=UTC)
    url = f"sqlite:///{place / 'ledger' / 'ledger.sqlite'}"
    with (
        Ledger.open(url, clock=lambda: at, actor=Actor("t", "t", "t")) as ledger,
        ledger.transaction() as tx,
    ):
        for stage in ("second_reminder", "final_notice"):
            tx.record(
                "reminders", statement_number="AURORA-0001", stage=stage, payer_id="AURORA",
                policy_id="standard", message_id=f"<{stage}>",
            )  # fmt: skip
            tx.record(
                "deliveries", message_id=f"<{stage}>", channel="outbox",
                recipient="faktura@aurora.example", status="sent",
            )  # fmt: skip
    return place


def test_paused_for_not_paying_and_running_after_it(noticed: Any, sites: Sandbox) -> None:
    place = noticed
    with XeroSandbox(
        state=place / "sandbox" / "xero.sqlite",
        clock=lambda: datetime.fromisoformat(f"{SUSPEND_DAY}T08:00:00+00:00"),
        minute_limit=10_000,
    ) as xero:
        env = {**sites.env, **xero.environment(), "M2C_NOW": f"{SUSPEND_DAY}T09:00:00+00:00",
               "M2C_STAND_IN_SOURCES": json.dumps(sites.sources)}  # fmt: skip

        refused = place.run(
            "suspend", "--apply", **{**env, "M2C_NO_OSL1_URL": "https://dcim.example.com"}
        )
        assert refused.code == 2, refused.err
        assert "the machines of site NO-OSL1 are switched at dcim.example.com" in refused.err

        planned = place.run("suspend", "--json", **env)
        assert planned.code == 1, planned.out  # payments were not read for weeks
        assert "payments were last read from Xero" in planned.out

        done = place.run("suspend", "--apply", "--json", **env)
        assert done.code == 0, done.out + done.err
        report = done.json()
        (suspension,) = report["suspensions"]
        assert suspension["payer_id"] == "AURORA"
        assert [m["machine_id"] for m in suspension["never_suspended"]] == ["no-store-01"]
        assert len(suspension["machines"]) == 5
        assert {r["state"] for r in report["paused"]} == {"off"}
        assert {m["connector"] for m in suspension["machines"]} == {"rest json"}
        ordered = [(meter, state) for _, meter, state in sites.power_orders()]
        assert sorted(ordered) == [(m, "off") for m in (
            "osl-pdu-a1-01", "osl-pdu-a1-02", "osl-pdu-a1-03", "osl-pdu-a2-01", "osl-pdu-a2-02",
            "osl-pdu-b2-01")]  # fmt: skip
        assert place.published("select distinct state, payer_id from suspended_machines") == [
            ("paused", "AURORA")
        ]
        kinds = place.published(
            "select distinct kind from statement_history where statement_number = 'AURORA-0001'"
        )
        assert {("suspended",), ("machine",)} <= set(kinds)

        (due,) = place.published(
            "select amount_due from invoices where statement_number = 'AURORA-0001'"
        )
        xero.admin.pay("AURORA-0001", amount=due[0], on=date(2027, 1, 14))
        later = {**env, "M2C_NOW": f"{SUSPEND_DAY}T12:00:00+00:00"}
        assert place.run("payments", **later).code == 0
        resumed = place.run("resume", "--apply", **later)
        assert resumed.code == 0, resumed.out + resumed.err
        assert "Resumed: AURORA, suspended since 2027-01-14" in resumed.out
        assert [state for *_, state in sites.power_orders()].count("on") == 6
        assert place.published("select distinct state from suspended_machines") == [("running",)]
        assert len(list((place / "outbox").glob(f"{SUSPEND_DAY}-AURORA-*.eml"))) == 2
