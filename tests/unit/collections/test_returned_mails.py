"""What a mail that came back says, whoever wrote it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.collections.bounces.reading import Failure, Verdict, read_returned
from exporters.collections.letter import bounce_token
from tests.unit.collections import returned_mails as mails
from tests.unit.collections.returned_mails import ADDRESS, OURS, dsn


def test_a_report_in_the_standards_form() -> None:
    returned = read_returned(dsn())
    assert returned.verdict is Verdict.FAILED
    assert returned.failures == (
        Failure(address=ADDRESS, status="5.1.1", reason="550 5.1.1 no such user here"),
    )
    # The id of the message that came back, not of the one it answered.
    assert returned.message_ids == (OURS,)
    assert returned.failures[0].words == "5.1.1 550 5.1.1 no such user here"


@pytest.mark.parametrize(
    ("content", "address"),
    [
        (mails.EXCHANGE, "AP@Nordic.example"),
        (mails.EXIM, ADDRESS),
        (mails.QMAIL, ADDRESS),
        (dsn(action="error", status="5.0.0"), ADDRESS),  # OpenSMTPD
        (dsn(action="", status="5.2.1"), ADDRESS),
        # Given up after days of trying: this message will never arrive.
        (dsn(action="failed", status="4.4.7"), ADDRESS),
    ],
)
def test_failures_of_several_systems(content: bytes, address: str) -> None:
    returned = read_returned(content)
    assert returned.verdict is Verdict.FAILED
    assert [failure.address for failure in returned.failures] == [address]
    assert OURS in returned.message_ids


@pytest.mark.parametrize(
    ("content", "verdict"),
    [
        (dsn(action="delayed", status="4.4.1"), Verdict.TEMPORARY),
        (dsn(action="", status="4.4.1"), Verdict.TEMPORARY),
        (dsn(action="delivered", status="2.0.0"), Verdict.UNCLEAR),
        (mails.OUT_OF_OFFICE, Verdict.ANSWER),
        (mails.OUT_OF_OFFICE.replace(b"Auto-Submitted: auto-replied\r\n", b""), Verdict.ANSWER),
        (mails.RECEIPT, Verdict.ANSWER),
        (mails.COMPLAINT, Verdict.UNCLEAR),
        (mails.RIDDLE, Verdict.UNCLEAR),
        (mails.QUESTION, Verdict.OTHER),
        (b"", Verdict.UNCLEAR),
    ],
)
def test_what_is_no_failure(content: bytes, verdict: Verdict) -> None:
    returned = read_returned(content)
    assert returned.verdict is verdict
    assert returned.failures == ()
    assert returned.why


def test_the_message_is_named_in_several_ways() -> None:
    envelope = dsn(message_id=None, fields=f"Original-Envelope-Id: {OURS}\n")
    assert read_returned(envelope).message_ids == (OURS,)
    escaped = dsn(message_id=None, fields="Original-Envelope-Id: a+2Bb@x.example\n")
    assert read_returned(escaped).message_ids == ("a+b@x.example",)
    named = dsn(message_id=None, fields=f"X-Original-Message-ID: <{OURS}>\n")
    assert read_returned(named).message_ids == (OURS,)
    assert read_returned(mails.RECEIPT).message_ids == (OURS,)
    assert read_returned(mails.OUT_OF_OFFICE).message_ids == (OURS,)
    answered = mails.OUT_OF_OFFICE.replace(b"In-Reply-To:", b"References: <first@x.example>")
    assert read_returned(answered).message_ids == (OURS, "first@x.example")
    token = bounce_token(OURS)
    verp = read_returned(dsn(message_id=None, to=f"bounces+{token}@hosting.example"))
    assert verp.message_ids == ()
    assert verp.tokens == (token,)


def test_forwarded_mail_names_the_address_that_was_written() -> None:
    (failure,) = read_returned(dsn(recipient="kari@home.example", original=ADDRESS)).failures
    assert (failure.address, failure.original) == ("kari@home.example", ADDRESS)


def test_a_mail_has_one_key_however_it_came() -> None:
    as_file = dsn().replace(b"\r\n", b"\n")
    by_mailbox = b"Received: from x by y\r\n" + dsn()
    assert read_returned(as_file).key == read_returned(by_mailbox).key
    assert read_returned(dsn(own_id="other@x.example")).key != read_returned(as_file).key


SAMPLES = [dsn(), mails.EXCHANGE, mails.EXIM, mails.QMAIL, mails.OUT_OF_OFFICE, mails.RECEIPT]


@given(st.binary(max_size=300))
def test_any_bytes_are_some_mail(content: bytes) -> None:
    assert read_returned(content).verdict in Verdict


@given(
    sample=st.sampled_from(SAMPLES),
    start=st.integers(0, 2000),
    cut=st.integers(0, 400),
    instead=st.binary(max_size=20),
)
def test_damaged_reports_are_read_without_a_fall(
    sample: bytes, start: int, cut: int, instead: bytes
) -> None:
    read_returned(sample[:start] + instead + sample[start + cut :])
