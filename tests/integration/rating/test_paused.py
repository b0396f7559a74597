"""A month in which a payer's machines were paused, built by dbt from what the ledger says."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporters.ledger import Actor, Ledger
from exporters.ledger.extract import write_extract
from tests.integration.rating.workshop import BOOK, Workshop

PLAN = """plan_id: metered
description: Metered
currency: EUR
versions:
- version: 1
  valid_from: 2026-01
  charges:
  - {code: energy, model: per_unit, rate: '0.10'}
  - {code: desk, model: recurring, per: contract, amount: '31.00'}
  - {code: hosting, model: recurring, per: machine, amount: '31.00', bill_while_suspended: false}
  - {code: rack, model: recurring, per: site, amount: '62.00', bill_while_suspended: false}
  - {code: line, model: recurring, per: machine, amount: '10.00'}
"""


def ledger_of(path: Path, at: str) -> Ledger:
    instant = datetime.fromisoformat(at).replace(tzinfo=UTC)
    return Ledger.open(f"sqlite:///{path}", clock=lambda: instant, actor=Actor("t", "t", "t"))


def seen(path: Path, at: str, machine: str, state: str, wanted: str = "off") -> None:
    with ledger_of(path, at) as ledger:
        ledger.record(
            "machine_states", suspension_id="S", machine_id=machine, site_id="OSL", wanted=wanted,
            state=state, switched=True,
        )  # fmt: skip


@pytest.fixture(scope="module")
def paused(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """March 2026: two machines, m1 off from 11 to 21 March (10 days), m2 from 16 March on."""
    workshop = Workshop(tmp_path_factory.mktemp("paused"))
    workshop.write_book(
        machines=BOOK["machines.csv"] + "m2,OSL,pdu-2,2025-01-01,,,,,,\n",
        assignments=BOOK["assignments.csv"] + "m2,K,2026-01-01,\n",
    )
    (workshop.path / "book/plans/metered.yml").write_text(PLAN)
    for day, kwh in ((1, "10"), (5, "10"), (13, "9"), (14, "9"), (25, "10")):
        workshop.read_day(f"2026-03-{day:02}", kwh, ingested="2026-04-01")
    path = workshop.path / "ledger.sqlite"
    with ledger_of(path, "2026-03-11") as ledger, ledger.transaction() as tx:
        tx.record(
            "suspensions", suspension_id="S", payer_id="ACME", policy_id="p", stage="suspend",
            statement_numbers=["ACME-0001"], machines=2, by="automatic", reason="1.00 EUR",
        )  # fmt: skip
        for machine, meter in (("m1", "pdu-1"), ("m2", "pdu-2")):
            tx.record(
                "suspended_machines", suspension_id="S", machine_id=machine, contract_id="K",
                site_id="OSL", meters=[meter],
            )  # fmt: skip
    seen(path, "2026-03-11", "m1", "off")
    seen(path, "2026-03-16", "m2", "off")
    with ledger_of(path, "2026-03-20T23:00:00") as ledger:
        ledger.record("resumptions", suspension_id="S", payer_id="ACME", by="b", reason="paid")
    seen(path, "2026-03-21", "m1", "on", "on")
    write_extract(f"sqlite:///{path}", workshop.path / "warehouse" / "ledger")
    workshop.build()
    return workshop


def test_charges_stop_as_the_plan_says(paused: Workshop) -> None:
    lines = paused.rows(
        "select charge_code, quantity, amount from statement_lines where period = '2026-03' "
        "order by 1"
    )
    assert lines == [
        ("desk", "1.000000", "31.00"),
        ("energy", "48.000000", "4.80"),
        # 31 - 10 of m1 and 15 of m2, of 31 days.
        ("hosting", "1.161290", "36.00"),
        ("line", "2.000000", "20.00"),
        # Both are off from 16 to 21 March.
        ("rack", "0.838710", "52.00"),
    ]


def test_the_line_comes_apart_into_the_time_that_machines_ran(paused: Workshop) -> None:
    day = 86_400_000_000
    assert paused.rows(
        "select machine_id, occupied_us from line_machines where charge_code = 'hosting' "
        "and period = '2026-03' order by 1"
    ) == [("m1", 21 * day), ("m2", 15 * day)]
    assert paused.rows(
        "select charge_code, part, whole from line_calculations where charge_model = 'recurring' "
        "and period = '2026-03' order by 1"
    ) == [
        ("desk", 31 * day, 31 * day),
        ("hosting", 36 * day, 31 * day),
        ("line", 62 * day, 31 * day),
        ("rack", 26 * day, 31 * day),
    ]


def test_a_machine_that_goes_on_using_energy_is_an_exception(paused: Workshop) -> None:
    ((kind, machine, day, detail),) = paused.rows(
        "select kind, machine_id, day::text, detail from billing_exceptions "
        "where kind like '%suspend%'"
    )
    assert (kind, machine, day) == ("still_running_after_suspend", "m1", "2026-03-14")
    assert "used 9.000 kWh a day on the last 2 measured days, 10.000 before" in detail
    assert paused.rows(
        "select machine_id, state, meters, statement_numbers, is_proven, daily_kwh_paused "
        "from suspended_machines order by 1"
    ) == [
        ("m1", "running", "pdu-1", "ACME-0001", False, "9.000"),
        ("m2", "resuming", "pdu-2", "ACME-0001", None, None),
    ]


def test_what_is_paused_later_rates_the_month_again(paused: Workshop) -> None:
    seen(paused.path / "ledger.sqlite", "2026-03-31", "m2", "on", "on")
    write_extract(
        f"sqlite:///{paused.path / 'ledger.sqlite'}", paused.path / "warehouse" / "ledger"
    )
    paused.build()
    assert paused.rows(
        "select amount from statement_lines where period = '2026-03' and charge_code = 'hosting'"
    ) == [("37.00",)]
