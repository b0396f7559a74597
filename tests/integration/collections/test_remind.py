"""Reminders end to end against a real ledger, marts file, outbox folder and mail server."""

from __future__ import annotations

import email
import email.policy
import json
import multiprocessing
import os
import signal
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from exporters.collections import transport
from exporters.ledger import tables

# World and SmtpSink are the conftest's; tests are not importable from one another.
World = Any
SmtpSink = Any


def parsed(path: Path) -> Any:
    return email.message_from_bytes(path.read_bytes(), policy=email.policy.default)


def test_a_dry_run_shows_the_plan_and_touches_nothing(world: World) -> None:
    world.issue()
    world.poll()
    before = world.ledger.head()
    report = world.remind(apply=False, poll=False)
    (message,) = report.messages
    assert (message.status, message.stage) == ("planned", "friendly_reminder")
    assert not world.outbox.exists()
    assert world.ledger.head() == before
    assert "Would send: friendly_reminder to NORDIC" in report.describe()
    assert "--apply" in report.describe()
    assert not report.needs_person


def test_a_mail_lands_in_the_outbox_and_in_the_ledger(world: World) -> None:
    world.issue()
    report = world.remind()
    (path,) = world.mails()
    (message,) = report.messages
    assert message.location == str(path)
    mail = parsed(path)
    assert mail["To"].addresses[0].addr_spec == "ap@nordic.example"
    assert mail["From"].addresses[0].addr_spec == "billing@hosting.example"
    assert mail["Message-ID"] == f"<{message.message_id}>"
    assert mail["Subject"] == "Payment reminder: invoice NORDIC-0001 is overdue"
    text = mail.get_body(("plain",)).get_content()
    html = mail.get_body(("html",)).get_content()
    for part in (text, html):
        for expected in ("NORDIC-0001", "EUR\u00a01,000.00", "https://in.xero.com/NORDIC-0001",
                         "2 Nov 2026", "11", "IBAN NO93 8601 1117 947"):  # fmt: skip
            assert expected in part
    (reminder,) = world.ledger.query(tables.reminders.select())
    assert (reminder["statement_number"], reminder["stage"]) == (
        "NORDIC-0001",
        "friendly_reminder",
    )
    (delivery,) = world.ledger.query(tables.deliveries.select())
    assert (delivery["status"], delivery["message_id"]) == ("sent", message.message_id)
    assert world.ledger.open_intents() == []


def test_running_again_sends_nothing_more(world: World) -> None:
    world.issue()
    world.remind()
    head = world.ledger.head().facts
    for hours in (0, 1, 5, 30):
        world.later(hours=hours)
        assert world.remind().messages == ()
    assert len(world.mails()) == 1
    assert world.ledger.head().facts == head + 4  # the polls only


def test_the_whole_way_to_the_suspension(world: World) -> None:
    world.issue(due=date(2026, 11, 2))
    world.now = datetime(2026, 11, 3, 8, 0, tzinfo=UTC)
    seen = []
    for _ in range(40):
        report = world.remind()
        seen += [(world.now.date().isoformat(), m.stage) for m in report.messages]
        if report.suspensions:
            break
        world.later(days=1)
    assert seen == [
        ("2026-11-05", "friendly_reminder"),
        ("2026-11-12", "second_reminder"),
        ("2026-11-23", "final_notice"),
    ]
    assert world.now.date() == date(2026, 12, 3)
    assert "run `m2c suspend`" in report.describe()
    assert not report.needs_person
    final = parsed(world.mails()[-1])
    copies = [a.addr_spec for a in final["Cc"].addresses]
    assert copies == ["billing@hosting.example", "cfo@hosting.example"]
    assert "suspend service" in final.get_body(("plain",)).get_content()
    assert world.ledger.verify() == ()


def test_one_mail_a_payer_in_its_language(world: World) -> None:
    for n in range(1, 4):
        world.issue(f"NORDIC-000{n}")
        world.issue(f"JKT-000{n}", payer="JKT")
    report = world.remind()
    assert [m.payer_id for m in report.messages] == ["JKT", "NORDIC"]
    assert len(world.mails()) == 2
    indonesian = next(parsed(p) for p in world.mails() if "JKT" in p.name)
    assert "3 faktur telah jatuh tempo" in indonesian["Subject"]
    assert "1.000,00" in indonesian.get_body(("plain",)).get_content()


def test_stale_payments_stop_everything_and_say_so(world: World) -> None:
    world.issue()
    world.poll()
    world.later(hours=6, minutes=1)
    report = world.remind(poll=False)
    assert report.messages == ()
    assert world.mails() == []
    assert report.needs_person
    assert "run `m2c payments` first" in report.describe().replace("Run", "run")


def test_every_organisation_that_issued_must_be_fresh(world: World) -> None:
    world.sql("update sellers set xero_tenant_id = 'org-2'")
    world.issue()
    world.poll("org-1")
    assert world.remind(poll=False).held[0].code == "stale_payments"
    world.poll("org-2")
    world.later(hours=1)
    assert len(world.remind(poll=False).messages) == 1


def test_payments_and_human_edits_in_xero_stop_reminders(world: World) -> None:
    for n in range(1, 5):
        world.issue(f"NORDIC-000{n}")
    world.observe("NORDIC-0001", amount_due="0.00", status="PAID")
    world.observe("NORDIC-0002", amount_due="400.00")
    world.observe("NORDIC-0003", status="VOIDED")
    (message,) = world.remind().messages
    assert [(n, str(due)) for n, _, _, due in message.invoices] == [
        ("NORDIC-0002", "400.00"),
        ("NORDIC-0004", "1000.00"),
    ]
    assert str(message.to_pay) == "1400.00"


def test_holds_promises_and_disputes_in_the_ledger(world: World) -> None:
    world.issue()
    ledger = world.ledger
    ledger.record(tables.holds, scope="payer", subject="NORDIC", active=True, reason="r", by="b")
    assert world.remind().held[0].code == "hold"
    ledger.record(tables.holds, scope="payer", subject="NORDIC", active=False, reason="r", by="b")
    ledger.record(
        tables.promises, payer_id="NORDIC", until_date=date(2026, 11, 20), by="b", reason="call"
    )
    assert world.remind().held[0].code == "promise"
    ledger.record(
        tables.promises, payer_id="NORDIC", until_date=date(2026, 11, 12), by="b", reason="call"
    )
    ledger.record(
        tables.disputes, subject="NORDIC/2026-10/NORDIC-0001", state="open", by="b", reason="x"
    )
    assert world.remind().held[0].code == "disputed"
    ledger.record(
        tables.disputes, subject="NORDIC/2026-10/NORDIC-0001", state="resolved", by="b", reason="x"
    )
    assert len(world.remind().messages) == 1


def test_a_payment_that_the_bank_has_and_xero_not_yet(world: World) -> None:
    """Confirmed from a bank line it holds back until Xero shows it; then what is left is chased."""
    world.issue()
    line = {"line_id": "bl-1", "currency": "EUR", "amount": Decimal("400.00")}
    world.ledger.record(
        tables.bank_lines,
        **line,
        account="NO9386011117947",
        booked_on=date(2026, 11, 12),
        reversal=False,
        form="camt.053",
        file_name="a.xml",
    )
    matched = {
        **line,
        "statement_number": "NORDIC-0001",
        "line_words": "-",
        "by": "b",
        "reason": "r",
    }
    world.ledger.record(tables.bank_matches, **matched, state="confirmed")
    report = world.remind()
    assert report.held[0].code == "in_flight"
    assert "400.00 EUR on 2026-11-12 (bl-1) is at the bank, not yet in Xero" in report.describe()
    world.ledger.record(
        tables.payments,
        payment_id="p-1",
        statement_number="NORDIC-0001",
        amount=Decimal("400.00"),
        currency="EUR",
        paid_on=date(2026, 11, 12),
        status="AUTHORISED",
    )
    world.ledger.record(tables.bank_matches, **matched, state="explained", payment_id="p-1")
    world.observe(amount_due="600.00")
    (message,) = world.remind().messages
    assert str(message.to_pay) == "600.00"


def test_xeros_own_reminders_switched_on(world: World) -> None:
    world.issue()
    report = world.remind(xero_reminders_on=True)
    assert report.needs_person
    assert "switched on" in report.describe()
    assert world.mails() == []


def test_stages_set_by_a_reconcile_after_restore_count_as_done(world: World) -> None:
    world.issue()
    world.ledger.record(
        tables.reminders,
        statement_number="NORDIC-0001",
        stage="friendly_reminder",
        payer_id="NORDIC",
        policy_id="standard",
        message_id=None,
    )
    assert world.remind().messages == ()


def test_a_ledger_restored_from_before_the_mail_does_not_send_it_twice(world: World) -> None:
    world.issue()
    world.remind()
    (path,) = world.mails()
    content = path.read_bytes()
    world.ledger.close()
    for file in world.folder.glob("ledger.sqlite*"):
        file.unlink()
    world._ledger, world._issued = None, 0
    world.issue()
    world.remind()
    assert world.mails() == [path]
    assert path.read_bytes() == content


def test_only_one_run_at_a_time(world: World) -> None:
    world.issue()
    world.outbox.mkdir()
    with FileLock(world.outbox / ".remind.lock"):
        report = world.remind()
    assert world.mails() == []
    assert "another run" in report.describe()


def test_an_address_that_is_none_is_held_back_and_escalated_once(world: World) -> None:
    world.sql("update payers set email = 'ap@nordic.example, boss@nordic.example'")
    world.issue()
    report = world.remind()
    assert report.messages == ()
    assert report.needs_person
    (path,) = world.mails()
    notice = parsed(path)
    assert notice["To"].addresses[0].addr_spec == "billing@hosting.example"
    assert "NORDIC" in notice["Subject"]
    world.later(days=3)
    assert world.remind().needs_person
    assert len(world.mails()) == 1


# Killed at any moment


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
    kind.send = die if where == "before" else send_and_die  # type: ignore[method-assign]
    world.remind(poll=False, smtp_url=smtp_url)


def killed(world: World, where: str, smtp_url: str | None = None) -> None:
    world.poll()
    world.ledger.close()
    world._ledger = None
    child = multiprocessing.get_context("fork").Process(
        target=_killed_run, args=(world, where, smtp_url)
    )
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("days_later", [0, 3])
def test_killed_around_writing_to_the_outbox(world: World, where: str, days_later: int) -> None:
    world.issue()
    killed(world, where)
    assert len(world.mails()) == (1 if where == "after" else 0)
    world.later(days=days_later)
    dry = world.remind(apply=False)
    assert len(dry.messages) == (0 if where == "after" else 1)
    first = world.remind()
    assert len(first.messages) == (0 if where == "after" else 1)
    assert len(world.mails()) == 1
    assert world.remind().messages == ()
    assert len(world.mails()) == 1
    assert world.ledger.open_intents() == []
    assert len(world.ledger.query(tables.reminders.select())) == 1


def test_a_claimed_stage_is_not_sent_after_all_if_the_invoice_was_paid(world: World) -> None:
    world.issue()
    killed(world, "before")
    world.observe(amount_due="0.00", status="PAID")
    assert world.remind().messages == ()
    assert world.mails() == []


@pytest.mark.parametrize("where", ["before", "after"])
def test_killed_while_a_mail_server_has_it_is_never_sent_again(
    world: World, smtp: SmtpSink, where: str
) -> None:
    world.issue()
    killed(world, where, smtp.url)
    sent = len(smtp.accepted)
    assert sent == (1 if where == "after" else 0)
    report = world.remind(smtp_url=smtp.url)
    assert report.messages == ()
    assert report.needs_person
    assert "may or may not have arrived" in report.describe()
    again = world.remind(smtp_url=smtp.url)
    assert not again.needs_person
    assert len(smtp.accepted) == sent
    # The next stage comes in its time: the payer is not forgotten.
    world.later(days=10)
    (message,) = world.remind(smtp_url=smtp.url).messages
    assert message.stage == "second_reminder"


# A real mail server, in its moods


def test_mail_through_smtp(world: World, smtp: SmtpSink) -> None:
    world.issue()
    report = world.remind(smtp_url=smtp.url)
    ((recipients, content),) = smtp.accepted
    assert recipients == ("ap@nordic.example",)
    mail = email.message_from_bytes(content, policy=email.policy.default)
    assert mail["Message-ID"] == f"<{report.messages[0].message_id}>"
    assert report.messages[0].location == smtp.url
    assert world.mails() == []


def test_copies_are_in_the_envelope(world: World, smtp: SmtpSink) -> None:
    world.issue(due=date(2026, 9, 1))
    for _ in range(3):
        world.remind(smtp_url=smtp.url)
        world.later(days=14)
    assert smtp.accepted[-1][0] == (
        "ap@nordic.example",
        "billing@hosting.example",
        "cfo@hosting.example",
    )


def test_a_refused_copy_is_said(world: World, smtp: SmtpSink) -> None:
    world.issue(due=date(2026, 9, 1))
    smtp.answers = lambda got: "550 unknown" if "cfo@" in got else None
    for _ in range(3):
        report = world.remind(smtp_url=smtp.url)
        world.later(days=14)
    assert [m.status for m in report.messages] == ["sent"]
    assert "cfo@hosting.example: 550 unknown" in report.describe()
    assert report.needs_person


@pytest.mark.parametrize(
    ("line", "reply"),
    [("MAIL", "451 try later"), ("RCPT", "450 mailbox busy"), ("MAIL", "hang_up"),
     ("DATA", "451 not now"), (".", "552 too big")],
)  # fmt: skip
def test_what_the_server_did_not_take_is_sent_by_the_next_run(
    world: World, smtp: SmtpSink, line: str, reply: str
) -> None:
    world.issue()
    smtp.answers = lambda got: reply if got.startswith(line) else None
    report = world.remind(smtp_url=smtp.url)
    assert [m.status for m in report.messages] == ["failed"]
    assert report.needs_person
    assert smtp.accepted == []
    smtp.answers = lambda _: None
    world.later(days=3)
    (message,) = world.remind(smtp_url=smtp.url).messages
    assert (message.status, message.stage) == ("sent", "friendly_reminder")
    assert len(smtp.accepted) == 1
    assert world.remind(smtp_url=smtp.url).messages == ()


def test_no_server_at_all(world: World) -> None:
    world.issue()
    world.issue("JKT-0001", payer="JKT")
    report = world.remind(smtp_url="smtp://127.0.0.1:9")
    assert [m.status for m in report.messages] == ["failed", "failed"]
    assert world.ledger.query(tables.reminders.select()) == []
    assert world.remind().sent != ()


@pytest.mark.parametrize("reply", ["hang_up", "accept_and_hang_up"])
def test_an_answer_that_never_came_is_unknown_and_not_repeated(
    world: World, smtp: SmtpSink, reply: str
) -> None:
    world.issue()
    smtp.answers = lambda got: reply if got == "." else None
    report = world.remind(smtp_url=smtp.url)
    assert [m.status for m in report.messages] == ["unknown"]
    assert report.needs_person
    smtp.answers = lambda _: None
    for _ in range(3):
        assert world.remind(smtp_url=smtp.url).messages == ()
        world.later(days=1)
    assert len(smtp.accepted) == (1 if reply == "accept_and_hang_up" else 0)


def test_a_refused_address_is_escalated_and_a_corrected_one_gets_the_stage(
    world: World, smtp: SmtpSink
) -> None:
    world.issue()
    smtp.answers = lambda got: "550 no such user" if "ap@nordic.example" in got else None
    report = world.remind(smtp_url=smtp.url)
    assert [m.status for m in report.messages] == ["bounced"]
    assert world.ledger.query(tables.reminders.select()) == []
    report = world.remind(smtp_url=smtp.url)
    assert report.held[0].code == "bounced"
    assert [r for r, _ in smtp.accepted] == [("billing@hosting.example",)]
    world.sql("update payers set email = 'new@nordic.example' where payer_id = 'NORDIC'")
    (message,) = world.remind(smtp_url=smtp.url).messages
    assert (message.recipient, message.stage) == ("new@nordic.example", "friendly_reminder")


def test_a_mail_that_bounced_later_reaches_the_corrected_address(world: World) -> None:
    world.issue()
    (message,) = world.remind().messages
    world.later(hours=1)
    world.ledger.record(
        tables.deliveries,
        message_id=message.message_id,
        channel="outbox",
        recipient=message.recipient,
        status="bounced",
    )
    world.later(days=3)
    assert world.remind().held[0].code == "bounced"
    world.sql("update payers set email = 'new@nordic.example' where payer_id = 'NORDIC'")
    (again,) = world.remind().messages
    assert (again.recipient, again.stage) == ("new@nordic.example", "friendly_reminder")
    assert world.remind().messages == ()


def test_a_password_is_never_shown_or_sent_in_the_clear(world: World) -> None:
    with pytest.raises(ValueError, match="unencrypted") as caught:
        world.remind(smtp_url="smtp://me:secret@mail.example:25")
    assert "secret" not in str(caught.value)
    with pytest.raises(ValueError, match="smtp://host:port") as caught:
        world.remind(smtp_url="http://me:secret@mail.example")
    assert "secret" not in str(caught.value)
    server = transport.SmtpServer("smtps://me:secret@mail.example")
    assert server.location == "smtps://mail.example:465"


# What goes with a reminder, and whose words it has


def test_the_statements_that_fire_go_with_the_reminder(world: World) -> None:
    world.issue("NORDIC-0001", due=date(2026, 11, 2))
    world.issue("NORDIC-0002", due=date(2026, 11, 2))
    world.issue("NORDIC-0003", due=date(2026, 11, 12))  # listed only
    for number in ("NORDIC-0001", "NORDIC-0003"):
        world.render(number, b"%PDF-1.7 " + number.encode())
    (message,) = world.remind().messages
    assert message.attached == ("NORDIC-0001.pdf",)
    assert message.not_attached == (f"NORDIC-0002: no PDF in {world.reports / '2026-10'}",)
    (path,) = world.mails()
    (pdf,) = parsed(path).iter_attachments()
    assert (pdf.get_filename(), pdf.get_content()) == ("NORDIC-0001.pdf", b"%PDF-1.7 NORDIC-0001")
    (intent,) = world.ledger.query(tables.intents.select())
    body = json.loads(intent["body"])
    assert [file["name"] for file in body["files"]] == ["NORDIC-0001.pdf"]
    assert "application/pdf" not in body["content"]
    assert "Attached as PDF: NORDIC-0001." in body["content"]


def test_another_statements_file_is_never_attached(world: World) -> None:
    world.issue("NORDIC-0001")
    world.render("NORDIC-0001")
    index = {"NORDIC-0001": {"statement_id": "JKT/2026-10/JKT-0001", "fingerprints": {}}}
    (world.reports / "2026-10" / ".rendered.json").write_text(json.dumps(index))
    assert world.remind().messages[0].attached == ()


@pytest.mark.parametrize("content", [b"", b"no PDF at all", None])
def test_a_broken_file_never_stops_a_reminder(world: World, content: bytes | None) -> None:
    world.issue()
    world.render("NORDIC-0001", content or b"")
    if content is None:
        (world.reports / "2026-10" / "NORDIC-0001.pdf").unlink()
        (world.reports / "2026-10" / "NORDIC-0001.pdf").mkdir()
    (message,) = world.remind().messages
    assert (message.status, message.attached) == ("sent", ())
    assert len(message.not_attached) == 1


def test_too_many_bytes_become_links(world: World) -> None:
    world.issue("NORDIC-0001")
    world.issue("NORDIC-0002")
    for number in ("NORDIC-0001", "NORDIC-0002"):
        world.render(number, b"%PDF-" + bytes(4_000_000))
    (message,) = world.remind().messages
    assert message.attached == ()
    (path,) = world.mails()
    assert "too large" in parsed(path).get_body(("plain",)).get_content()
    assert path.stat().st_size < 50_000


def test_a_server_that_says_what_it_takes_gets_links(world: World, smtp: SmtpSink) -> None:
    smtp.extensions = ("SIZE 300000",)
    world.issue()
    world.render("NORDIC-0001", b"%PDF-" + bytes(200_000))
    (message,) = world.remind(smtp_url=smtp.url).messages
    assert (message.status, message.attached) == ("sent", ())
    assert len(smtp.accepted) == 1


@pytest.mark.parametrize("refusal", ["552 too big", "554 5.3.4 too big"])
def test_a_server_that_finds_it_too_large_gets_links(
    world: World, smtp: SmtpSink, refusal: str
) -> None:
    world.issue()
    world.render("NORDIC-0001")
    refused: list[str] = []

    def once(line: str) -> str | None:
        if line != "." or refused:
            return None
        refused.append(line)
        return refusal

    smtp.answers = once
    report = world.remind(smtp_url=smtp.url)
    (message,) = report.messages
    assert (message.status, message.attached) == ("sent", ())
    assert message.not_attached == ("NORDIC-0001: too large for a mail, links only",)
    assert not report.alerts
    assert len(smtp.accepted) == 1
    (reminder,) = world.ledger.query(tables.reminders.select())
    assert reminder["message_id"] == message.message_id
    assert world.ledger.open_intents() == []


def test_reminders_of_an_invoice_are_one_thread(world: World) -> None:
    world.issue()
    (first,) = world.remind().messages
    world.later(days=10)
    (second,) = world.remind().messages
    path = next(p for p in world.mails() if p.name.startswith("2026-11-23"))
    assert parsed(path)["In-Reply-To"] == f"<{first.message_id}>"
    assert second.message_id != first.message_id


def test_the_books_own_words(world: World) -> None:
    world.issue()
    world.issue("JKT-0001", payer="JKT")
    world.texts.mkdir()
    world.sql("update dunning_stages set template = 'ours' where stage_no = 1")
    words = (
        "templates:\n  ours:\n    name: Note\n    subject_one: 'Please pay {first_number}'\n"
        "    subject_many: 'Please pay'\n    opening: hello {name}\n    closing: bye\n"
    )
    (world.texts / "en.yml").write_text(words)
    report = world.remind()
    # Who reads Indonesian gets the English text whole: there is none in Indonesian.
    assert [m.subject for m in report.messages] == ["Please pay JKT-0001", "Please pay NORDIC-0001"]
    assert "Kind regards" in parsed(world.mails()[0]).get_body(("plain",)).get_content()
    (stages,) = {str(parsed(path)["X-M2C-Stages"]) for path in world.mails() if "JKT" in path.name}
    assert stages == "JKT-0001=friendly_reminder"


def test_broken_words_are_held_back_and_the_others_go(world: World) -> None:
    world.issue()
    world.issue("JKT-0001", payer="JKT")
    world.texts.mkdir()
    (world.texts / "id.yml").write_text(
        "templates:\n  friendly_reminder:\n    closing: '{harga}'\n"
    )
    report = world.remind()
    assert [m.payer_id for m in report.messages] == ["NORDIC"]
    (held,) = report.held
    assert (held.payer_id, held.code) == ("JKT", "policy")
    assert "mail/id.yml line 3, templates.friendly_reminder.closing: '{harga}'" in held.reason
    assert report.needs_person
    assert len(world.mails()) == 1
    (world.texts / "id.yml").write_text("templates:\n  friendly_reminder:\n    closing: 'ya'\n")
    assert [m.payer_id for m in world.remind().messages] == ["JKT"]


def test_a_bounce_address_that_is_none(world: World) -> None:
    with pytest.raises(ValueError, match="M2C_BOUNCE_ADDRESS"):
        world.remind(bounce_address="bounces@x.example, other@x.example")
