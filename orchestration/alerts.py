"""Alerts: a failed run, and usage or cost that reached a threshold of the book, are told to people
by mail, or left in the outbox where no mail server is set.

`M2C_ALERT_TO` names who is told; without it the alert goes to the data dir's outbox only.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP

import dagster as dg

from exporters.alerts import NoticeReport, read_reached_alerts, tell_alerts
from exporters.collections import is_loopback
from exporters.collections.mail import Mail
from exporters.collections.transport import Outbox, SmtpServer, Transport
from orchestration.ledger import open_ledger
from orchestration.locks import hold
from orchestration.settings import Clock, DataDir, SettingsError, clock_from_env, is_rehearsal

_SENDER = "meter-to-cash@localhost"


def failure_message(
    *, job: str, run_id: str, error: str, at: datetime, env: Mapping[str, str]
) -> EmailMessage:
    """The mail that says which run failed and why."""
    message = EmailMessage()
    message["Subject"] = f"meter-to-cash: the run {job} failed"
    message["From"] = alert_sender(env)
    message["To"] = ", ".join(alert_recipients(env))
    message["Date"] = at
    message["Message-ID"] = f"<run-failure-{run_id}@meter-to-cash>"
    message.set_content(f"Job {job}, run {run_id}, failed at {at:%Y-%m-%d %H:%M} UTC.\n\n{error}\n")
    return message


def events_message(news: Sequence[str], *, at: datetime, env: Mapping[str, str]) -> EmailMessage:
    """The mail that says to whom events are not sent any more, and what to do."""
    message = EmailMessage()
    message["Subject"] = "meter-to-cash: events do not reach a system that is to be told"
    message["From"] = alert_sender(env)
    message["To"] = ", ".join(alert_recipients(env))
    message["Date"] = at
    digest = hashlib.sha256("\n".join(news).encode()).hexdigest()[:16]
    message["Message-ID"] = f"<events-{at:%Y%m%dT%H%M%S}-{digest}@meter-to-cash>"
    message.set_content("\n".join([*news, "", "How all of them stand: m2c events"]) + "\n")
    return message


def alert_sender(env: Mapping[str, str]) -> str:
    return env.get("M2C_ALERT_FROM") or _SENDER


def alert_recipients(env: Mapping[str, str]) -> tuple[str, ...]:
    named = (address.strip() for address in env.get("M2C_ALERT_TO", "").split(","))
    return tuple(address for address in named if address) or (_SENDER,)


def alert_smtp_url(env: Mapping[str, str]) -> str | None:
    """The mail server, if somebody is named; None for the outbox."""
    return (env.get("M2C_SMTP_URL") or None) if env.get("M2C_ALERT_TO") else None


def _alert_server(env: Mapping[str, str]) -> str | None:
    url = alert_smtp_url(env)
    if url and is_rehearsal(env) and not is_loopback(url):
        raise SettingsError(
            "M2C_NOW is set, so this is a rehearsal, but M2C_SMTP_URL points at another machine"
        )
    return url


def tell_reached_alerts(data_dir: DataDir, *, clock: Clock, env: Mapping[str, str]) -> NoticeReport:
    """Tell of alerts of the published marts that were not told before.

    Raises SettingsError in a rehearsal whose mail server is not on loopback, ValueError for an
    M2C_SMTP_URL that is none, MartsError, LedgerError.
    """
    reached = read_reached_alerts(data_dir.marts)
    if not reached and not data_dir.has_ledger():
        return NoticeReport(reached=0, notices=())
    url = _alert_server(env)
    with (
        hold(data_dir.locks, "notices", purpose="telling alerts"),
        open_ledger(data_dir, acting_as="alerts") as ledger,
    ):
        return tell_alerts(
            reached,
            ledger,
            clock=clock,
            outbox_dir=data_dir.outbox,
            sender=alert_sender(env),
            recipients=alert_recipients(env),
            smtp_url=url,
        )


@dg.run_failure_sensor(
    name="alert_on_failure",
    default_status=dg.DefaultSensorStatus.RUNNING,
    monitor_all_code_locations=True,
)
def alert_on_failure(context: dg.RunFailureSensorContext) -> None:
    """Tell people about every failed run."""
    message = failure_message(
        job=context.dagster_run.job_name,
        run_id=context.dagster_run.run_id,
        error=context.failure_event.message or "no message",
        at=clock_from_env()(),
        env=os.environ,
    )
    send(message, data_dir=DataDir.from_env(), env=os.environ)


def send(message: EmailMessage, *, data_dir: DataDir, env: Mapping[str, str]) -> str:
    """Hand the alert over; where it went. A mail server is used only if somebody is named.

    Raises SettingsError in a rehearsal whose mail server is not on loopback, TransportError or
    UnknownOutcome if it does not take it.
    """
    url = _alert_server(env)
    transport: Transport = SmtpServer(url) if url else Outbox(data_dir.outbox)
    mail = Mail(
        message_id=message["Message-ID"],
        sender=message["From"],
        recipients=tuple(address.strip() for address in message["To"].split(",")),
        subject=message["Subject"],
        content=message.as_bytes(policy=SMTP),
    )
    try:
        transport.prepare(mail)
        return transport.send(mail, attempt=message["Message-ID"].strip("<>")).location
    finally:
        transport.close()
