"""Mail that comes back: from the reminder that was sent to the address that was corrected."""

from __future__ import annotations

import email
import email.policy
import mailbox
import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporters.collections.bounces import MailboxSettings, run, sources
from exporters.collections.letter import bounce_token
from exporters.ledger import tables
from exporters.ledger.events import events_of
from exporters.ledger.extract import write_extract
from tests.integration.collections import dovecot
from tests.unit.collections import returned_mails as mails
from tests.unit.collections.returned_mails import ADDRESS, dsn

World = Any  # the conftest's
SmtpSink = Any


@pytest.fixture
def sent(world: World) -> str:
    """The id of a reminder that went out to one address."""
    world.issue()
    (message,) = world.remind().messages
    assert message.recipient == ADDRESS
    world.later(minutes=10)
    return str(message.message_id)


def bounced(world: World) -> list[Any]:
    table = tables.deliveries
    return list(world.ledger.query(table.select().where(table.c.status == "bounced")))


def test_from_the_reminder_to_the_corrected_address(world: World, smtp: SmtpSink) -> None:
    smtp.extensions = ("DSN", "SIZE 20000000")
    world.issue()
    (message,) = world.remind(smtp_url=smtp.url, bounce_address="bounces+@hosting.example").messages
    ((_, content),) = smtp.accepted
    (mail_from,) = (line for line in smtp.lines if line.startswith("MAIL"))
    back_to = mail_from.partition("<")[2].partition(">")[0]
    assert back_to == f"bounces+{bounce_token(message.message_id)}@hosting.example"
    assert f"ENVID={message.message_id}" in mail_from
    assert "RET=HDRS" in mail_from
    assert f"SIZE={len(content)}" in mail_from
    (rcpt,) = (line for line in smtp.lines if line.startswith("RCPT"))
    assert rcpt.endswith("NOTIFY=FAILURE ORCPT=rfc822;ap@nordic.example")

    world.later(hours=2)
    world.drop("returned.eml", dsn(message_id=message.message_id, to=back_to))
    report = world.bounces()
    assert report.recipients == (ADDRESS,)
    assert report.exit_code == 1
    assert "came back: 5.1.1 550 5.1.1 no such user here" in "\n".join(report.describe())
    assert [path.name[13:] for path in world.taken.iterdir()] == ["returned.eml"]
    assert list(world.inbox.glob("*.eml")) == []

    world.later(days=3)
    held = world.remind(smtp_url=smtp.url)
    assert held.messages == ()
    assert [(h.code, h.stage) for h in held.held] == [("bounced", "friendly_reminder")]
    assert [recipients for recipients, _ in smtp.accepted[1:]] == [("billing@hosting.example",)]
    escalation = email.message_from_bytes(smtp.accepted[1][1], policy=email.policy.default)
    assert ADDRESS in escalation.get_content()

    world.sql("update payers set email = 'new@nordic.example' where payer_id = 'NORDIC'")
    (again,) = world.remind(smtp_url=smtp.url).messages
    assert (again.recipient, again.stage) == ("new@nordic.example", "friendly_reminder")
    assert smtp.accepted[-1][0] == ("new@nordic.example",)
    with world.ledger.snapshot() as reader:
        words = [event.words for event in events_of(reader, "NORDIC-0001")]
    assert f"message to {ADDRESS} came back undelivered" in words
    write_extract(world.ledger.url, world.folder / "extract")  # tells the same without the answers


def test_a_dry_run_touches_nothing(world: World, sent: str) -> None:
    path = world.drop("a.eml", dsn(message_id=sent))
    before = world.ledger.head()
    report = world.bounces(apply=False)
    assert report.recipients == (ADDRESS,)
    assert "Would note" in report.describe()[0]
    assert "--apply" in report.describe()[-1]
    assert path.exists()
    assert world.ledger.head() == before
    assert not world.taken.exists()


def test_a_failure_is_noted_once_however_often_it_is_read(world: World, sent: str) -> None:
    world.drop("a.eml", dsn(message_id=sent))
    world.bounces()
    world.drop("a.eml", dsn(message_id=sent))
    world.drop("b.eml", dsn(message_id=sent, own_id="another@mx.example"))
    report = world.bounces()
    assert [str(found.outcome) for found in report.mails] == ["known", "known"]
    assert report.exit_code == 0
    assert len(bounced(world)) == 1
    # After the address was tried again an old report is still the old one; a new one counts.
    world.later(days=31)
    (again,) = world.remind().messages
    assert again.recipient == ADDRESS
    world.drop("a.eml", dsn(message_id=sent))
    world.bounces()
    assert len(bounced(world)) == 1
    world.drop("c.eml", dsn(message_id=again.message_id, own_id="third@mx.example"))
    world.bounces()
    assert len(bounced(world)) == 2
    assert world.ledger.verify() == ()


@pytest.mark.parametrize(
    "content",
    [
        dsn(action="delayed", status="4.4.1"),
        mails.OUT_OF_OFFICE,
        mails.RECEIPT,
    ],
)
def test_delays_and_answers_are_no_bounces(world: World, sent: str, content: bytes) -> None:
    world.drop("a.eml", content.replace(mails.OURS.encode(), sent.encode()))
    report = world.bounces()
    assert [str(found.outcome) for found in report.mails] == ["harmless"]
    assert report.exit_code == 0
    assert bounced(world) == []
    assert len(list(world.taken.iterdir())) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (dsn(message_id="forged@evil.example"), "never sent from here: <forged@evil.example>"),
        (dsn(message_id=None, recipient="jkt@awan.example"), "got no mail from here since"),
        (mails.RIDDLE, "no report that is understood"),
        (mails.QUESTION, "no report of a mail system"),
        (mails.COMPLAINT, "complaint"),
    ],
)
@pytest.mark.usefixtures("sent")
def test_what_cannot_be_told_is_left_and_named(world: World, content: bytes, words: str) -> None:
    path = world.drop("riddle.eml", content)
    report = world.bounces()
    assert report.exit_code == 1
    assert words in report.describe()[0]
    assert "riddle.eml" in report.describe()[0]
    assert path.exists()
    assert bounced(world) == []
    world.later(days=7)
    assert [m.stage for m in world.remind().messages] == ["second_reminder"]


@pytest.mark.usefixtures("sent")
def test_an_address_alone_counts_for_a_week(world: World) -> None:
    content = dsn(message_id=None, recipient="AP@Nordic.Example")
    world.later(days=10)
    world.drop("late.eml", content)
    assert bounced(world) == []
    assert [str(f.outcome) for f in world.bounces().mails] == ["left"]
    world.remind()
    world.later(days=1)
    assert world.bounces().recipients == (ADDRESS,)
    assert bounced(world)[0]["recipient"] == ADDRESS


@pytest.mark.usefixtures("sent")
def test_a_report_about_somebody_else_silences_nobody(world: World) -> None:
    """A message of ours that had two recipients, and a report that names neither."""
    world.sql("update dunning_stages set copy_to = 'cfo@hosting.example' where stage_no = 2")
    world.later(days=10)
    (message,) = world.remind().messages
    assert message.copies == ("cfo@hosting.example",)
    path = world.drop("a.eml", dsn(message_id=message.message_id, recipient="x@evil.example"))
    report = world.bounces()
    assert "no address that this message went to" in report.describe()[0]
    assert path.exists()
    world.drop(
        "a.eml", dsn(message_id=message.message_id, recipient="cfo@hosting.example", own_id="2@x")
    )
    assert world.bounces().recipients == ("cfo@hosting.example",)
    # The copy is lost, the payer was reached.
    world.later(days=21)
    assert [m.stage for m in world.remind().messages] == ["final_notice"]


def test_forwarded_mail_that_fails_is_the_recipients(world: World, sent: str) -> None:
    world.drop("a.eml", dsn(message_id=sent, recipient="kari@home.example"))
    assert world.bounces().recipients == (ADDRESS,)


def test_a_token_in_the_address_names_the_message(world: World, sent: str) -> None:
    to = f"bounces+{bounce_token(sent)}@hosting.example"
    world.later(days=20)
    world.drop("a.eml", dsn(message_id=None, to=to))
    assert world.bounces().recipients == (ADDRESS,)


def test_an_unknown_outcome_that_comes_back_is_known(world: World, smtp: SmtpSink) -> None:
    world.issue()
    smtp.answers = lambda line: "accept_and_hang_up" if line == "." else None
    (message,) = world.remind(smtp_url=smtp.url).messages
    assert message.status == "unknown"
    world.drop("a.eml", dsn(message_id=message.message_id))
    world.bounces()
    world.sql("update payers set email = 'new@nordic.example' where payer_id = 'NORDIC'")
    world.later(days=3)
    (again,) = world.remind().messages
    assert (again.recipient, again.stage) == ("new@nordic.example", "friendly_reminder")


def test_an_mbox_stays_until_every_mail_is_settled(world: World, sent: str, tmp_path: Path) -> None:
    box = mailbox.mbox(tmp_path / "box", create=True)
    for content in (dsn(message_id=sent), mails.RIDDLE):
        box.add(email.message_from_bytes(content))
    box.close()
    path = world.drop("returned.mbox", (tmp_path / "box").read_bytes())
    report = world.bounces()
    assert [str(found.outcome) for found in report.mails] == ["bounced", "left"]
    assert "returned.mbox, mail 2 (Problem)" in report.describe()[1]
    assert path.exists()
    assert [str(found.outcome) for found in world.bounces().mails] == ["known", "left"]
    assert len(bounced(world)) == 1


def test_files_that_are_still_being_written_wait(world: World, sent: str) -> None:
    world.drop("a.eml.part", dsn(message_id=sent))
    world.drop(".hidden", dsn(message_id=sent))
    assert world.bounces().describe() == ["No mail came back."]


def test_killed_between_ledger_and_folder(world: World, sent: str) -> None:
    path = world.drop("a.eml", dsn(message_id=sent))
    world.ledger.close()
    world._ledger = None

    def die() -> None:
        def kill(_self: Any) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        sources.DroppedFile.put_away = kill  # type: ignore[method-assign]
        world.bounces()

    child = multiprocessing.get_context("fork").Process(target=die)
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert path.exists()
    assert len(bounced(world)) == 1
    assert [str(found.outcome) for found in world.bounces().mails] == ["known"]
    assert not path.exists()
    assert len(bounced(world)) == 1


# The mailbox


@pytest.fixture(scope="module")
def server() -> Iterator[dovecot.Dovecot]:
    if not dovecot.is_installed():
        pytest.skip(dovecot.MISSING)
    with dovecot.running() as running:
        yield running


@pytest.fixture
def imap(server: dovecot.Dovecot) -> Iterator[dovecot.Dovecot]:
    yield server
    server.clear()


def settings(server: dovecot.Dovecot) -> MailboxSettings:
    made = MailboxSettings.from_environment(server.environment)
    assert made is not None
    return made


def test_a_mailbox_keeps_what_is_not_ours_unread(
    world: World, sent: str, imap: dovecot.Dovecot
) -> None:
    imap.deliver("1-ours", dsn(message_id=sent))
    imap.deliver("2-question", mails.QUESTION)
    imap.deliver("3-foreign", dsn(message_id="forged@evil.example", own_id="f@x"))
    imap.deliver("4-away", mails.OUT_OF_OFFICE.replace(mails.OURS.encode(), sent.encode()))
    imap.deliver("5-elsewhere", mails.OUT_OF_OFFICE.replace(b"In-Reply-To", b"X-Other"))
    dry = world.bounces(apply=False, mailbox=settings(imap))
    assert imap.seen() == set()
    assert dry.recipients == (ADDRESS,)
    report = world.bounces(mailbox=settings(imap))
    assert imap.seen() == {"1-ours", "4-away"}
    assert [str(found.outcome) for found in report.mails] == ["bounced", "left", "harmless"]
    assert report.passed_over == 2
    assert report.exit_code == 1
    assert "<forged@evil.example>" in "\n".join(report.describe())
    again = world.bounces(mailbox=settings(imap))
    assert [str(found.outcome) for found in again.mails] == ["left"]
    assert len(bounced(world)) == 1


def test_a_mail_is_marked_only_once_the_ledger_has_it(
    world: World, sent: str, imap: dovecot.Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    imap.deliver("ours", dsn(message_id=sent))

    class LostError(Exception):
        pass

    def fail(*_: Any, **__: Any) -> Any:
        raise LostError

    with monkeypatch.context() as patch:
        patch.setattr(run, "judge", fail)
        with pytest.raises(LostError):
            world.bounces(mailbox=settings(imap))
    assert imap.seen() == set()
    world.bounces(mailbox=settings(imap))
    assert imap.seen() == {"ours"}


def test_a_large_mail_is_read_as_far_as_it_matters(
    world: World, sent: str, imap: dovecot.Dovecot
) -> None:
    head, found, tail = dsn(message_id=sent).rpartition(b"--b1--")
    imap.deliver("large", head + b"x" * 3_000_000 + found + tail)
    assert world.bounces(mailbox=settings(imap)).recipients == (ADDRESS,)


def test_a_mailbox_that_cannot_be_read_stops_nothing_else(
    world: World, sent: str, imap: dovecot.Dovecot
) -> None:
    world.drop("a.eml", dsn(message_id=sent))
    env = imap.environment | {"M2C_BOUNCES_IMAP_PASSWORD": "wrong secret"}
    report = world.bounces(mailbox=MailboxSettings.from_environment(env))
    assert report.exit_code == 3
    assert report.recipients == (ADDRESS,)
    words = "\n".join(report.describe())
    assert "Cannot be read: bounces@hosting.example at 127.0.0.1, INBOX" in words
    assert "wrong secret" not in words


def test_nobody_listens(world: World) -> None:
    env = {
        "M2C_BOUNCES_IMAP_URL": "imap://me@127.0.0.1:1/INBOX",
        "M2C_BOUNCES_IMAP_PASSWORD": "secret",
    }
    report = world.bounces(mailbox=MailboxSettings.from_environment(env))
    assert report.exit_code == 3
    assert "refused" in report.describe()[0]


@pytest.mark.parametrize(
    ("url", "password", "words"),
    [
        ("imap://me@mail.example/INBOX", "x", "unencrypted"),
        ("imaps://me:secret@mail.example/INBOX", "x", "must not hold the password"),
        ("imaps://me@mail.example/INBOX", "", "M2C_BOUNCES_IMAP_PASSWORD must be set"),
        ("https://me@mail.example/", "x", "must look like"),
        ("imaps://mail.example/INBOX", "x", "must look like"),
        ("imaps://me@mail.example/B%C3%BCcher", "x", "not ASCII"),
        ("imaps://me@mail.example/A%0D%0AB", "x", "not ASCII"),
    ],
)
def test_mailboxes_that_cannot_be_used(url: str, password: str, words: str) -> None:
    env = {"M2C_BOUNCES_IMAP_URL": url, "M2C_BOUNCES_IMAP_PASSWORD": password}
    with pytest.raises(ValueError, match=words) as caught:
        MailboxSettings.from_environment(env)
    assert "secret" not in str(caught.value)


def test_settings_of_a_mailbox() -> None:
    assert MailboxSettings.from_environment({}) is None
    env = {
        "M2C_BOUNCES_IMAP_URL": "imaps://me%40x.example@mail.example/Bounces",
        "M2C_BOUNCES_IMAP_PASSWORD": "secret",
    }
    made = MailboxSettings.from_environment(env)
    assert made is not None
    assert (made.user, made.port, made.folder, made.tls) == ("me@x.example", 993, "Bounces", True)
    assert "secret" not in repr(made)
