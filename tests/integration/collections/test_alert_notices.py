"""Notices of alerts: each is told once, whatever dies in between, by outbox and by mail server."""

from __future__ import annotations

import email
import email.policy
import multiprocessing
import os
import signal
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from exporters.alerts import NoticeReport, read_reached_alerts, tell_alerts
from exporters.collections import transport
from exporters.ledger import tables

if TYPE_CHECKING:
    from tests.integration.collections.conftest import SmtpSink, World

TO = ("ops@hosting.example", "finance@hosting.example")
MART = """
create table customers(customer_id varchar, name varchar);
create table alerts(alert_key varchar, period varchar, contract_id varchar, customer_id varchar,
  measure varchar, threshold decimal(24,9), threshold_in_words varchar, value decimal(38,9),
  is_reached boolean, detail varchar);
insert into customers values ('nordic', 'Nordic Compute AS');
insert into alerts values
  ('K-1/2026-11/energy_kwh/9000', '2026-11', 'K-1', 'nordic', 'energy_kwh', 9000, '9,000 kWh',
   9214.5, true, 'Contract K-1 has used 9,214.5 kWh; its alert is set at 9,000 kWh.'),
  ('K-1/2026-11/energy_kwh/20000', '2026-11', 'K-1', 'nordic', 'energy_kwh', 20000, '20,000 kWh',
   9214.5, false, 'Contract K-1 has used 9,214.5 kWh; its alert is set at 20,000 kWh.');
"""


@pytest.fixture
def alerting(world: World) -> World:
    world.sql(MART)
    return world


def tell(world: World, smtp_url: str | None = None) -> NoticeReport:
    return tell_alerts(
        read_reached_alerts(world.marts),
        world.ledger,
        clock=lambda: world.now,
        outbox_dir=world.outbox,
        sender="m2c@hosting.example",
        recipients=TO,
        smtp_url=smtp_url,
    )


def grow(world: World, value: str) -> None:
    """More is used: value and words change, the identity of the alert does not."""
    world.sql(
        f"update alerts set value = {Decimal(value)}, is_reached = {Decimal(value)} >= threshold,"
        f" detail = 'Contract K-1 has used {value} kWh.'"
    )


def test_an_alert_is_told_in_words_and_once(alerting: World) -> None:
    report = tell(alerting)
    assert [(n.alert_key, n.status) for n in report.notices] == [
        ("K-1/2026-11/energy_kwh/9000", "told")
    ]
    assert not report.needs_person
    (path,) = alerting.mails()
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert message["Subject"] == "meter-to-cash: contract K-1 reached 9,000 kWh in November 2026"
    assert message["To"] == "ops@hosting.example, finance@hosting.example"
    text = message.get_content()
    assert "Contract K-1 has used 9,214.5 kWh; its alert is set at 9,000 kWh." in text
    assert "Customer: Nordic Compute AS (nordic)" in text

    grow(alerting, "12000")
    alerting.later(days=3)
    again = tell(alerting)
    assert (again.reached, again.notices, len(alerting.mails())) == (1, (), 1)


def test_each_threshold_of_a_contract_is_told(alerting: World) -> None:
    tell(alerting)
    grow(alerting, "20000")
    report = tell(alerting)
    assert [n.alert_key for n in report.notices] == ["K-1/2026-11/energy_kwh/20000"]
    assert len(alerting.mails()) == 2
    assert tell(alerting).notices == ()


def test_nothing_is_told_below_the_threshold(alerting: World) -> None:
    grow(alerting, "8999.999999999")
    assert tell(alerting) == NoticeReport(reached=0, notices=())
    assert alerting.mails() == []
    assert alerting.ledger.query(tables.intents.select()) == []


def test_everybody_named_is_told_by_mail(alerting: World, smtp: SmtpSink) -> None:
    report = tell(alerting, smtp.url)
    assert report.notices[0].location == smtp.url
    ((recipients, content),) = smtp.accepted
    assert recipients == TO
    assert b"9,214.5 kWh" in content
    # What was told by mail is not told again in the outbox, nor the other way round.
    assert tell(alerting).notices == ()
    assert alerting.mails() == []


def test_a_mail_server_out_of_order_is_tried_again(alerting: World, smtp: SmtpSink) -> None:
    grow(alerting, "20000")
    smtp.answers = lambda line: "451 later" if line.startswith("RCPT") else None
    report = tell(alerting, smtp.url)
    assert [n.status for n in report.notices] == ["not_told", "not_told"]
    assert report.needs_person
    assert "the next build tries again" in report.describe()[0]
    smtp.answers = lambda line: "452 full" if line == "." else None
    assert [n.status for n in tell(alerting, smtp.url).notices] == ["not_told", "not_told"]
    smtp.answers = lambda _line: None
    assert [n.status for n in tell(alerting, smtp.url).notices] == ["told", "told"]
    assert len(smtp.accepted) == 2
    assert tell(alerting, smtp.url).notices == ()


def test_a_connection_that_breaks_while_sending_is_not_tried_again(
    alerting: World, smtp: SmtpSink
) -> None:
    smtp.answers = lambda line: "accept_and_hang_up" if line == "." else None
    report = tell(alerting, smtp.url)
    assert [n.status for n in report.notices] == ["unknown"]
    assert report.needs_person
    assert "Message-ID <m2c.alert." in report.describe()[0]
    smtp.answers = lambda _line: None
    assert tell(alerting, smtp.url).notices == ()
    assert len(smtp.accepted) == 1


def _killed_run(world: World, where: str, smtp_url: str | None) -> None:
    """Runs in a child process, which kills itself at a named moment."""

    def die(*_args: object, **_kwargs: object) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    def send_and_die(self: Any, *args: Any, **kwargs: Any) -> Any:
        original(self, *args, **kwargs)
        die()

    world._ledger = None  # a database connection does not survive a fork
    kind = transport.SmtpServer if smtp_url else transport.Outbox
    original: Any = kind.send
    if where == "prepared":
        kind.prepare = die  # type: ignore[method-assign]
    kind.send = die if where == "intended" else send_and_die  # type: ignore[method-assign]
    tell(world, smtp_url)


def killed(world: World, where: str, smtp_url: str | None = None) -> None:
    world.ledger.close()
    world._ledger = None
    child = multiprocessing.get_context("fork").Process(
        target=_killed_run, args=(world, where, smtp_url)
    )
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("where", ["prepared", "intended", "sent"])
def test_killed_around_writing_to_the_outbox(alerting: World, where: str) -> None:
    killed(alerting, where)
    assert len(alerting.mails()) == (1 if where == "sent" else 0)
    grow(alerting, "9500")
    first = tell(alerting)
    assert len(first.notices) == (0 if where == "sent" else 1)
    assert len(alerting.mails()) == 1
    assert tell(alerting).notices == ()
    assert len(alerting.mails()) == 1
    assert alerting.ledger.open_intents() == []


@pytest.mark.parametrize("where", ["intended", "sent"])
def test_killed_while_a_mail_server_has_it_is_said_and_never_sent_again(
    alerting: World, smtp: SmtpSink, where: str
) -> None:
    killed(alerting, where, smtp.url)
    sent = len(smtp.accepted)
    assert sent == (1 if where == "sent" else 0)
    report = tell(alerting, smtp.url)
    assert [n.status for n in report.notices] == ["unknown"]
    assert report.needs_person
    assert tell(alerting, smtp.url).notices == ()
    assert len(smtp.accepted) == sent


def test_a_ledger_put_back_to_an_older_copy_does_not_tell_again(alerting: World) -> None:
    tell(alerting)
    alerting.ledger.close()
    alerting._ledger = None
    (alerting.folder / "ledger.sqlite").unlink()
    (notice,) = tell(alerting).notices
    assert (notice.status, notice.location) == ("told", str(alerting.mails()[0]))
    assert len(alerting.mails()) == 1
    assert tell(alerting).notices == ()
