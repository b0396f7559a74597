"""What happens to a month after it was issued: late readings, events, routes, and nothing twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.integration.rating.workshop import Workshop

ADJUSTMENTS = """
    select line_key, statement_id, classification, adjusts_period, quantity, amount, tax_amount
    from statement_lines where adjusts_period is not null order by line_key
"""


@pytest.fixture(scope="module")
def january(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data dir with January's 10 kWh built and issued; February has readings too."""
    workshop = Workshop(tmp_path_factory.mktemp("january"))
    workshop.write_book()
    workshop.read_day("2026-01-10", "10", ingested="2026-01-11")
    workshop.read_day("2026-02-10", "500", ingested="2026-02-11")
    workshop.build()
    workshop.issue("ACME/2026-01/all", "ACME-0001", "2026-02-05 08:00:00")
    return workshop.path


@pytest.fixture
def issued(january: Path, tmp_path: Path) -> Workshop:
    """A copy of that data dir for one test."""
    # A path that SQL must quote.
    data_dir = tmp_path / "Ann's data"
    shutil.copytree(january, data_dir)
    return Workshop(data_dir, batches=2)


def test_late_readings_become_one_difference_and_never_a_second(issued: Workshop) -> None:
    issued.build()
    assert issued.rows(ADJUSTMENTS) == []
    frozen = issued.rows("select * from statement_lines where period = '2026-01' order by line_key")
    assert len(frozen) == 3

    issued.read_day("2026-01-10", "12.5", ingested="2026-02-20")
    issued.event("ev-1", "2026-01-15", "7.00", ingested="2026-02-20")
    issued.event("ev-2", "2026-01-16", "9.00", ingested="2026-02-20", classification="exception")
    issued.build()
    # The line of the commit falls by what the energy rose: nothing is special.
    expected = [
        ("adj/2026-02/K/2026-01/1/commit/-/-", "0.000000", "-0.25", "-0.06"),
        ("adj/2026-02/K/2026-01/1/energy/OSL/-", "2.500000", "0.25", "0.06"),
        ("adj/2026-02/K/2026-01/1/hands/OSL/ev-1", "1.000000", "7.00", "1.75"),
        ("adj/2026-02/K/2026-01/1/hands/OSL/ev-2", "1.000000", "9.00", "2.25"),
    ]
    assert issued.rows(ADJUSTMENTS) == [
        (key, "ACME/2026-02/all", "adjustment", "2026-01", quantity, amount, tax)
        for key, quantity, amount, tax in expected
    ]
    assert issued.rows(
        "select description from statement_lines where line_key = "
        "'adj/2026-02/K/2026-01/1/energy/OSL/-'"
    ) == [("January 2026 energy at Oslo (OSL): 12.5 kWh instead of 10 kWh",)]
    again = issued.rows("select * from statement_lines where period = '2026-01' order by line_key")
    assert again == frozen

    issued.issue("ACME/2026-02/all", "ACME-0002", "2026-03-05 08:00:00")
    issued.build()
    assert len(issued.rows(ADJUSTMENTS)) == len(expected)
    assert issued.rows("select count(*) from statement_lines where period > '2026-02'") == [(0,)]
    assert issued.rows("select statement_id, state, lines from statements order by 1") == [
        ("ACME/2026-01/all", "issued", 3),
        ("ACME/2026-02/all", "issued", 2 + len(expected)),
    ]


def test_another_payer_takes_over_whole_and_a_vanished_line_is_taken_back(issued: Workshop) -> None:
    issued.write_book(
        payer_routes="contract_id,site_id,charge_code,payer_id,priority\nK,,energy,BETA,1\n",
        assignments="machine_id,contract_id,valid_from,valid_to\nm1,K,2026-01-01,\n",
    )
    issued.build()
    assert issued.rows(ADJUSTMENTS) == [
        (
            "adj/2026-02/K/2026-01/1/energy/OSL/-",
            "ACME/2026-02/all",
            "adjustment",
            "2026-01",
            "-10.000000",
            "-1.00",
            "-0.25",
        ),
        (
            "adj/2026-02/K/2026-01/1/energy/OSL/-/BETA",
            "BETA/2026-02/OSL",
            "adjustment",
            "2026-01",
            "10.000000",
            "1.00",
            "0.25",
        ),
    ]

    issued.write_book(
        assignments="machine_id,contract_id,valid_from,valid_to\nm1,K,2026-02-01,\n",
    )
    issued.build()
    assert issued.rows(ADJUSTMENTS) == [
        (
            "adj/2026-02/K/2026-01/1/commit/-/-",
            "ACME/2026-02/all",
            "adjustment",
            "2026-01",
            "0.000000",
            "1.00",
            "0.25",
        ),
        (
            "adj/2026-02/K/2026-01/1/energy/OSL/-",
            "ACME/2026-02/all",
            "adjustment",
            "2026-01",
            "-10.000000",
            "-1.00",
            "-0.25",
        ),
    ]


def test_what_cannot_be_rated_again_blocks_the_open_statement_and_takes_nothing_back(
    issued: Workshop,
) -> None:
    issued.event("ev-9", "2026-01-15", "7.00", ingested="2026-02-20", service_code="crane")
    issued.write_book(
        tax_rules="site_jurisdiction,payer_country,charge_code,tax_code,rate_percent,valid_from,"
        "valid_to,note\n,,,NO25,25,2026-02-01,,\n"
    )
    issued.build()
    assert issued.rows(ADJUSTMENTS) == []
    assert issued.rows(
        "select kind, statement_id, count(*) from billing_exceptions where severity = 'blocking' "
        "group by all order by all"
    ) == [
        ("no_tax_rule", "ACME/2026-02/all", 3),
        ("unpriced_event", "ACME/2026-02/all", 1),
    ]
    assert issued.rows("select statement_id, decision from statements where state != 'issued'") == [
        ("ACME/2026-02/all", "blocked")
    ]


def test_a_credit_is_given_in_the_open_month_and_once(issued: Workshop) -> None:
    issued.write_book(
        credits="credit_id,contract_id,kind,amount,currency,valid_from,valid_to,note\n"
        "c1,K,sla,5.00,EUR,2026-01-10,,\n"
    )
    issued.build()
    credit_lines = "select line_key, amount from statement_lines where charge_code = 'credit'"
    assert issued.rows(credit_lines) == [("K/2026-02/0/credit/-/c1", "-5.00")]
    issued.issue("ACME/2026-02/all", "ACME-0002", "2026-03-05 08:00:00")
    issued.read_day("2026-03-10", "5", ingested="2026-03-11")
    issued.build()
    assert issued.rows(credit_lines) == [("K/2026-02/0/credit/-/c1", "-5.00")]


def test_what_is_disputed_waits_and_is_then_billed_or_taken_back(issued: Workshop) -> None:
    issued.event("ev-1", "2026-02-15", "7.00", ingested="2026-02-16", classification="disputed")
    issued.event("ev-2", "2026-02-16", "9.00", ingested="2026-02-16")
    issued.dispute("event", "ev-1", "rejected")
    issued.dispute("line", "K/2026-02/1/hands/OSL/ev-2", "open")
    issued.dispute("line", "K/2026-01/1/desk/-/-", "open")
    issued.build()
    february = "select line_key from statement_lines where period = '2026-02' order by 1"
    keys = [
        ("K/2026-02/1/desk/-/-",),
        ("K/2026-02/1/energy/OSL/-",),
        ("K/2026-02/1/hands/OSL/ev-1",),
    ]
    assert issued.rows(february) == keys
    assert issued.rows(
        "select kind, severity, statement_id, event_id, detail from billing_exceptions "
        "where kind not like 'missing%' order by statement_id"
    ) == [
        (
            *("disputed_line", "warning", "ACME/2026-01/all", None),
            "Line K/2026-01/1/desk/-/- (EUR 30.00) is disputed (anna: never ordered) and statement "
            "ACME-0001 is not chased until that is decided.",
        ),
        (
            *("disputed_line", "warning", "ACME/2026-02/all", "ev-2"),
            "Line K/2026-02/1/hands/OSL/ev-2 (EUR 9.00) is disputed (anna: never ordered) and not "
            "billed until that is decided.",
        ),
    ]
    assert issued.rows("select scope, subject, state, amount from disputes order by 1, 2") == [
        ("event", "ev-1", "rejected", None),
        ("line", "K/2026-01/1/desk/-/-", "open", "30.00"),
        ("line", "K/2026-02/1/hands/OSL/ev-2", "open", "9.00"),
    ]

    issued.issue("ACME/2026-02/all", "ACME-0002", "2026-03-05 08:00:00")
    issued.dispute("line", "K/2026-02/1/hands/OSL/ev-2", "rejected")
    issued.dispute("line", "K/2026-01/1/desk/-/-", "upheld")
    issued.build()
    assert issued.rows(february) == keys
    assert issued.rows(
        "select l.line_key, l.amount, a.cause from statement_lines l "
        "join adjustments a using (line_key) order by 1"
    ) == [
        ("adj/2026-03/K/2026-01/1/desk/-/-", "-30.00", "dispute"),
        ("adj/2026-03/K/2026-02/1/hands/OSL/ev-2", "9.00", "dispute"),
    ]
