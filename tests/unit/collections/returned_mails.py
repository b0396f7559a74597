"""Mails as mail systems send them when something could not be delivered, or was not read."""

from __future__ import annotations

from textwrap import dedent

OURS = "m2c.0123456789abcdef0123456789abcdef@hosting.example"
ADDRESS = "ap@nordic.example"


def _mail(text: str) -> bytes:
    return dedent(text).lstrip("\n").replace("\n", "\r\n").encode()


def dsn(
    *,
    action: str = "failed",
    status: str = "5.1.1",
    recipient: str = ADDRESS,
    original: str | None = None,
    message_id: str | None = OURS,
    to: str = "bounces@hosting.example",
    own_id: str = "20261113.AB12@mx.nordic.example",
    fields: str = "",
) -> bytes:
    """A report in the standard's form, as Postfix writes it; `message_id` None: the message is not
    brought back."""
    asked = f"Original-Recipient: rfc822;{original}\n" if original else ""
    head = f"""\
Return-Path: <>
From: MAILER-DAEMON@mx.nordic.example (Mail Delivery System)
To: {to}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
Message-ID: <{own_id}>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b1"

--b1
Content-Type: text/plain; charset=us-ascii

The mail system could not deliver your message.

--b1
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.nordic.example
Arrival-Date: Fri, 13 Nov 2026 12:00:01 +0000
{fields}
Final-Recipient: rfc822; {recipient}
{asked}Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 {status} no such user here

"""
    back = (
        f"""\
--b1
Content-Type: text/rfc822-headers

From: Machine Hosting AS <billing@hosting.example>
To: <{recipient}>
Message-ID: <{message_id}>
In-Reply-To: <another@hosting.example>
Subject: Payment reminder

"""
        if message_id
        else ""
    )
    return (head + back + "--b1--\n").replace("\n", "\r\n").encode()


EXCHANGE = _mail(
    f"""
    From: Microsoft Outlook <postmaster@nordic.example>
    To: <billing@hosting.example>
    Subject: Undeliverable: Payment reminder
    Message-ID: <ex-1@nordic.example>
    In-Reply-To: <{OURS}>
    References: <{OURS}>
    MIME-Version: 1.0
    Content-Type: multipart/report; report-type=delivery-status; boundary="x"

    --x
    Content-Type: text/html; charset=utf-8

    <p>{ADDRESS} was not found.</p>
    --x
    Content-Type: message/delivery-status

    Reporting-MTA: dns;AM0PR01MB1234.example
    Received-From-MTA: dns;hosting.example

    Final-Recipient: rfc822;AP@Nordic.example
    Action: failed
    Status: 5.1.10
    Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound

    --x
    Content-Type: message/rfc822

    From: Machine Hosting AS <billing@hosting.example>
    To: <{ADDRESS}>
    Message-ID: <{OURS}>
    Subject: Payment reminder

    the text
    --x--
    """
)
EXIM = _mail(
    f"""
    From: Mail Delivery System <Mailer-Daemon@mx.nordic.example>
    To: billing@hosting.example
    Auto-Submitted: auto-replied
    X-Failed-Recipients: {ADDRESS}
    Subject: Mail delivery failed: returning message to sender
    Message-Id: <exim-1@mx.nordic.example>

    This message was created automatically by mail delivery software.

    A message that you sent could not be delivered to one or more of its
    recipients. This is a permanent error. The following address(es) failed:

      {ADDRESS}
        550 5.1.1 mailbox unavailable

    ------ This is a copy of the message, including all the headers. ------

    From: Machine Hosting AS <billing@hosting.example>
    Message-ID: <{OURS}>
    Subject: Payment reminder
    """
)
QMAIL = _mail(
    f"""
    Return-Path: <>
    From: MAILER-DAEMON@mx.nordic.example
    To: billing@hosting.example
    Subject: failure notice
    Message-ID: <qmail-1@mx.nordic.example>

    Hi. This is the qmail-send program at mx.nordic.example.
    I'm afraid I wasn't able to deliver your message to the following addresses.
    This is a permanent error; I've given up. Sorry it didn't work out.

    <{ADDRESS}>:
    Sorry, no mailbox here by that name. (#5.1.1)

    --- Below this line is a copy of the message.

    Message-ID: <{OURS}>
    Subject: Payment reminder
    """
)
OUT_OF_OFFICE = _mail(
    f"""
    From: Kari Nordmann <{ADDRESS}>
    To: billing@hosting.example
    Subject: Automatic reply: Payment reminder
    Auto-Submitted: auto-replied
    In-Reply-To: <{OURS}>
    Message-ID: <ooo-1@nordic.example>

    I am away until Monday. In urgent cases write to 550 someone@nordic.example.
    """
)
RECEIPT = _mail(
    f"""
    From: Kari Nordmann <{ADDRESS}>
    To: billing@hosting.example
    Subject: Read: Payment reminder
    Message-ID: <mdn-1@nordic.example>
    MIME-Version: 1.0
    Content-Type: multipart/report; report-type=disposition-notification; boundary="m"

    --m
    Content-Type: text/plain

    It was read.
    --m
    Content-Type: message/disposition-notification

    Final-Recipient: rfc822;{ADDRESS}
    Original-Message-ID: <{OURS}>
    Disposition: manual-action/MDN-sent-manually; displayed

    --m--
    """
)
COMPLAINT = _mail(
    """
    From: abuse@provider.example
    To: billing@hosting.example
    Subject: complaint
    Message-ID: <arf-1@provider.example>
    MIME-Version: 1.0
    Content-Type: multipart/report; report-type=feedback-report; boundary="a"

    --a
    Content-Type: text/plain

    Somebody complained.
    --a
    Content-Type: message/feedback-report

    Feedback-Type: abuse

    --a--
    """
)
RIDDLE = _mail(
    """
    Return-Path: <>
    From: postmaster@strange.example
    To: billing@hosting.example
    Subject: Problem
    Message-ID: <riddle-1@strange.example>

    Etwas ging schief.
    """
)
QUESTION = _mail(
    f"""
    From: Kari Nordmann <{ADDRESS}>
    To: billing@hosting.example
    Subject: Re: Payment reminder
    In-Reply-To: <{OURS}>
    Message-ID: <re-1@nordic.example>

    Could you send the invoice again? We paid 550 EUR to the old account.
    """
)
