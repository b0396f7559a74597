"""The messages themselves: what stands in them, and that hostile text stays text."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exporters.collections import mail as mails
from exporters.collections.addresses import is_address
from exporters.collections.mail import Sender, compose, message_id_for
from exporters.collections.model import Receivable, Situation
from exporters.collections.plan import plan

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


def test_every_language_has_every_text(world: World) -> None:
    def keys(value: object, at: str = "") -> set[str]:
        if isinstance(value, dict):
            return {k for key, item in value.items() for k in keys(item, f"{at}/{key}")}
        return {at}

    folder = mails._HERE / "texts"
    shapes = {
        path.stem: keys(yaml.safe_load(path.read_text("utf-8"))) for path in folder.glob("*.yml")
    }
    assert set(shapes) == mails.languages() >= {"en", "de", "nb", "fi", "id"}
    assert all(shape == shapes["en"] for shape in shapes.values())
    situation = world()
    for language in [*sorted(shapes), "no", "sv", "en-US"]:
        payer = replace(situation.payers["NORDIC"], language=language)
        _, message = composed(replace(situation, payers={"NORDIC": payer}))
        body = message.get_body(("plain",)).get_content()
        assert "{" not in body
        assert "NORDIC-0001" in body
        assert "1000" in body.translate(dict.fromkeys(map(ord, ",.\u00a0\u202f")))


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
    made = mails._assemble(
        sender=replace(SENDER, name=name),
        to=mails._address(name, "ap@nordic.example"),
        copies=(),
        subject=f"invoice {number}",
        message_id="m2c.1@x.example",
        now=datetime(2026, 1, 1, tzinfo=UTC),
        text="x",
        html=None,
    )
    message = email.message_from_bytes(made.content, policy=email.policy.default)
    assert [a.addr_spec for a in message["To"].addresses] == ["ap@nordic.example"]
    assert set(message.keys()) <= {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type",
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
