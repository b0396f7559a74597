"""The messages themselves: what stands in them, and that hostile text stays text."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.collections import mail as mails
from exporters.collections.addresses import is_address
from exporters.collections.attachments import Attachment, Attachments
from exporters.collections.letter import Body, address, assemble, bounce_token
from exporters.collections.mail import Sender, compose, compose_notice, message_id_for
from exporters.collections.model import Fired, OverdueInvoice, Payer, Receivable, Situation
from exporters.collections.plan import plan
from exporters.collections.texts import NOTICES, built_in_texts
from tests.unit.collections.conftest import receivable

World = Callable[..., Situation]
Invoices = Callable[..., Receivable]

SENDER = Sender(
    name="Machine Hosting AS",
    email="billing@hosting.example",
    lines=("Main Street 1", "0150 Oslo"),
    bank={"EUR": "DNB, IBAN NO93 8601 1117 947"},
)


def composed(situation: Situation, sender: Sender = SENDER) -> tuple[mails.Mail, Any]:
    (message,) = plan(situation).messages
    made = compose(message, sender=sender, message_id="m2c.1@x.example", now=situation.now)
    return made, email.message_from_bytes(made.content, policy=email.policy.default)


def test_the_same_message_gives_the_same_bytes(world: World) -> None:
    assert composed(world())[0] == composed(world())[0]


def test_the_id_follows_from_payer_day_and_address(world: World) -> None:
    day = world().now.date()
    first = message_id_for(payer_id="A", day=day, recipient="a@x.example", domain="x.example")
    assert first == message_id_for(
        payer_id="A", day=day, recipient="a@x.example", domain="x.example"
    )
    assert first != message_id_for(
        payer_id="B", day=day, recipient="a@x.example", domain="x.example"
    )


def test_every_language_writes_every_mail(world: World) -> None:
    def keys(value: object, at: str = "") -> set[str]:
        if isinstance(value, dict):
            return {k for key, item in value.items() for k in keys(item, f"{at}/{key}")}
        return {at}

    texts = built_in_texts()
    shapes = {language: keys(words) for language, words in texts.words.items()}
    assert set(shapes) >= {"en", "de", "nb", "fi", "id"}
    assert all(shape == shapes["en"] for shape in shapes.values())
    situation = world()
    for language in [*sorted(shapes), "no", "sv", "en-US"]:
        payer = replace(situation.payers["NORDIC"], language=language)
        made, message = composed(replace(situation, payers={"NORDIC": payer}))
        for kind in NOTICES:
            told, notice = noticed(kind, payer)
            assert told.subject != made.subject
            for body in bodies(notice):
                assert "{" not in (body.partition("</style>")[2] or body)
                assert "NO-OSL1" in body
                assert ("NORDIC-0001" in body) == (kind == "suspended")
        for body in bodies(message):
            assert "NORDIC-0001" in body
            assert "1000" in body.translate(dict.fromkeys(map(ord, ",.\u00a0\u202f")))
        assert "{" not in bodies(message)[0]


def noticed(kind: Any, payer: Payer, **changes: Any) -> tuple[mails.Mail, Any]:
    asked: dict[str, Any] = {
        "sender": SENDER,
        "invoices": [OverdueInvoice(receivable=receivable(), days_overdue=31, stage=None)],
        "machines_by_site": {"NO-OSL1": 11, "FI-HEL1": 1},
        "currency": "EUR",
        "message_id": "m2c.2@x.example",
        "now": datetime(2026, 12, 3, tzinfo=UTC),
    }
    made = compose_notice(kind, payer, **(asked | changes))
    return made, email.message_from_bytes(made.content, policy=email.policy.default)


def bodies(message: Any) -> tuple[str, str]:
    """The text and the HTML part."""
    text, html = (message.get_body((kind,)).get_content() for kind in ("plain", "html"))
    return text, html


def test_notices_tell_machines_and_what_to_pay(world: World) -> None:
    payer = world().payers["NORDIC"]
    made, message = noticed(
        "suspended", payer, credit=Decimal("100.00"), thread=("m2c.1@x.example",)
    )
    assert made.subject == "12 of your machines have been paused"
    for body in bodies(message):
        for shown in ("FI-HEL1", "All sites", "12", "EUR\u00a0900.00", "https://in.xero.com/abc",
                      "IBAN NO93"):  # fmt: skip
            assert shown in body
    assert message["In-Reply-To"] == "<m2c.1@x.example>"
    made, message = noticed("resumed", payer, machines_by_site={"NO-OSL1": 1})
    assert made.subject == "Your machine is running again"
    for body in bodies(message):
        assert "1,000.00" not in body
        assert "IBAN" not in body
        assert "All sites" not in body


def test_headers_of_a_transactional_mail(world: World) -> None:
    _, message = composed(world(), replace(SENDER, bounce_address="bounces+@hosting.example"))
    assert message["Reply-To"].addresses[0].addr_spec == "billing@hosting.example"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["X-Auto-Response-Suppress"] == "OOF, AutoReply"
    assert message["Content-Language"] == "en"
    assert message["Date"].datetime == world().now
    for absent in ("List-Unsubscribe", "List-Id", "Precedence", "Return-Path", "In-Reply-To"):
        assert message[absent] is None
    assert mails.stages_in(message["X-M2C-Stages"]) == {"NORDIC-0001": "friendly_reminder"}


def test_bounces_come_back_to_an_address_that_names_the_message(world: World) -> None:
    plain, _ = composed(world())
    assert plain.sender == "billing@hosting.example"
    named, _ = composed(world(), replace(SENDER, bounce_address="bounces@hosting.example"))
    assert named.sender == "bounces@hosting.example"
    verp, message = composed(world(), replace(SENDER, bounce_address="bounces+@hosting.example"))
    assert verp.sender == f"bounces+{bounce_token('m2c.1@x.example')}@hosting.example"
    assert message["From"].addresses[0].addr_spec == "billing@hosting.example"


def test_reminders_of_the_same_invoices_are_one_thread(world: World) -> None:
    later = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    first = Fired(
        statement_number="NORDIC-0001",
        stage="friendly_reminder",
        at=datetime(2026, 11, 6, 12, 0, tzinfo=UTC),
        message_id="m2c.first@x.example",
    )
    _, message = composed(world(now=later, fired=(first,)))
    assert message["In-Reply-To"] == message["References"] == "<m2c.first@x.example>"
    # What never reached the payer is nothing to answer to.
    _, message = composed(world(now=later, fired=(replace(first, state="pending"),)))
    assert message["In-Reply-To"] is None


def test_the_text_can_be_read_at_72_columns(world: World, invoice: Invoices) -> None:
    link = "https://in.xero.com/" + "x" * 90
    for language in built_in_texts().languages:
        situation = world(receivables=(invoice(online_url=link),))
        payer = replace(situation.payers["NORDIC"], language=language)
        _, message = composed(replace(situation, payers={"NORDIC": payer}))
        text = bodies(message)[0]
        assert link in text
        assert max(len(line) for line in text.splitlines() if link not in line) <= 72


class Balanced(HTMLParser):
    """Fails where a tag is not closed in its turn or an attribute stands twice."""

    VOID = frozenset({"br", "meta"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), (tag, names)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("link", ["https://in.xero.com/a?b=1&c=2", None])
def test_the_page_is_well_formed(world: World, invoice: Invoices, link: str | None) -> None:
    situation = world(
        receivables=(invoice(online_url=link),), credits={("NORDIC", "EUR"): Decimal(1)}
    )
    _, message = composed(situation)
    _, notice = noticed("suspended", situation.payers["NORDIC"])
    for page in (bodies(message)[1], bodies(notice)[1]):
        parser = Balanced()
        parser.feed(page)
        parser.close()
        assert parser.open == []
        assert page.startswith("<!doctype html>")


def attached(*sizes: int) -> Attachments:
    return Attachments(
        files=tuple(
            Attachment(statement_number=f"N-{n}", name=f"N-{n}.pdf", content=b"%PDF-" + bytes(size))
            for n, size in enumerate(sizes)
        )
    )


def test_statements_are_attached_and_the_ledger_keeps_the_letter(world: World) -> None:
    (message,) = plan(world()).messages
    options: dict[str, Any] = {"sender": SENDER, "message_id": "m2c.1@x", "now": world().now}
    files = attached(10, 2000)
    made = compose(message, files=files, **options)
    assert made == compose(message, files=files, **options)
    parsed = email.message_from_bytes(made.content, policy=email.policy.default)
    found = list(parsed.iter_attachments())
    assert [p.get_filename() for p in found] == ["N-0.pdf", "N-1.pdf"]
    assert [p.get_content() for p in found] == [file.content for file in files.files]
    for body in bodies(parsed):
        assert "Attached as PDF: N-0, N-1." in body
    kept = email.message_from_bytes(made.kept, policy=email.policy.default)
    assert list(kept.iter_attachments()) == []
    assert bodies(kept) == bodies(parsed)
    assert [(f.name, f.size_bytes) for f in made.files] == [("N-0.pdf", 15), ("N-1.pdf", 2005)]
    light = compose(message, files=files.as_links(), **options)
    text = bodies(email.message_from_bytes(light.content, policy=email.policy.default))[0]
    assert "too large" in text
    assert light.files == ()


def test_credit_is_taken_off(world: World) -> None:
    _, message = composed(world(credits={("NORDIC", "EUR"): Decimal("600.00")}))
    body = message.get_body(("plain",)).get_content()
    assert "Less your credit: EUR\u00a0600.00" in body
    assert "To pay: EUR\u00a0400.00" in body


HOSTILE = [
    "=HYPERLINK(\"http://evil.example\",\"pay\")",
    "Evil\r\nBcc: everyone@evil.example",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% include '/etc/passwd' %}",
    "{name.__class__}{0}{count!r}",
    "../../etc/passwd",
    "\u202egpj.exe\u202c \u2066x\u2069",
    "#import \"x.typ\"; $1$",
    "a\x00b\x0bc\u2028d",
    '"quoted" <other@evil.example>, third@evil.example',
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_and_numbers_stay_text(world: World, invoice: Invoices, text: str) -> None:
    situation = world(receivables=(invoice(text, online_url=f"javascript:{text}"),))
    payer = replace(situation.payers["NORDIC"], name=text)
    made, message = composed(
        replace(situation, payers={"NORDIC": payer}),
        replace(SENDER, name=text, lines=(text,), bank={"EUR": text}),
    )
    assert made.recipients == ("ap@nordic.example",)
    assert [a.addr_spec for a in message["To"].addresses] == ["ap@nordic.example"]
    assert [a.addr_spec for a in message["From"].addresses] == ["billing@hosting.example"]
    assert message["Bcc"] is None
    assert message["Cc"] is None
    html = message.get_body(("html",)).get_content()
    body = message.get_body(("plain",)).get_content()
    assert "<script" not in html
    assert "<img" not in html
    assert "href" not in html
    assert "49" not in body.replace("1000", "")
    for part in (html, body, message["Subject"]):
        assert not set(part) & set("\u202e\u202c\u2066\u2069\u2028\x00\x0b")


@given(name=st.text(max_size=80), number=st.text(min_size=1, max_size=40))
def test_any_name_gives_a_mail_to_the_payer_only(name: str, number: str) -> None:
    made = assemble(
        sender=replace(SENDER, name=name),
        to=address(name, "ap@nordic.example"),
        subject=f"invoice {number}",
        message_id="m2c.1@x.example",
        now=datetime(2026, 1, 1, tzinfo=UTC),
        body=Body(text="x"),
    )
    message = email.message_from_bytes(made.content, policy=email.policy.default)
    assert [a.addr_spec for a in message["To"].addresses] == ["ap@nordic.example"]
    assert set(message.keys()) <= {
        "From", "Reply-To", "To", "Subject", "Date", "Message-ID", "Auto-Submitted",
        "X-Auto-Response-Suppress", "Content-Language", "Content-Type",
        "Content-Transfer-Encoding", "MIME-Version",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("a@b.example", True),
        ("first.last+tag@mail.b-c.example", True),
        ("billing@localhost", True),
        ("", False),
        (None, False),
        ("a@b.example\nBcc: c@d.example", False),
        ("a@b.example, c@d.example", False),
        ("Name <a@b.example>", False),
        ("a@@b.example", False),
        ("a b@c.example", False),
        ("a@-b.example", False),
        ("é@b.example", False),
        ("a" * 250 + "@b.example", False),
    ],
)
def test_addresses(text: str | None, good: bool) -> None:
    assert is_address(text) is good


def test_a_role_without_an_address_is_named_at_the_sellers() -> None:
    address = mails.role_address("head_of_finance", SENDER)
    assert str(address) == "head_of_finance <billing@hosting.example>"
    assert mails.role_address("cfo@x.example", SENDER).addr_spec == "cfo@x.example"
