"""Alerts: a failed run is told to people by mail, or left in the outbox where no mail server is
set.

`M2C_ALERT_TO` names who is told; without it the alert goes to the data dir's outbox only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP

import dagster as dg

from exporters.collections.mail import Mail
from exporters.collections.transport import Outbox, SmtpServer, Transport
from orchestration.settings import DataDir, clock_from_env

_SENDER = "meter-to-cash@localhost"


def failure_message(
    *, job: str, run_id: str, error: str, at: datetime, env: Mapping[str, str]
) -> EmailMessage:
    """The mail that says which run failed and why."""
    message = EmailMessage()
    message["Subject"] = f"meter-to-cash: the run {job} failed"
    message["From"] = env.get("M2C_ALERT_FROM", _SENDER)
    message["To"] = env.get("M2C_ALERT_TO", _SENDER)
    message["Date"] = at
    message["Message-ID"] = f"<run-failure-{run_id}@meter-to-cash>"
    message.set_content(f"Job {job}, run {run_id}, failed at {at:%Y-%m-%d %H:%M} UTC.\n\n{error}\n")
    return message


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
    """Hand the alert over; where it went. A mail server is used only if somebody is named."""
    url = env.get("M2C_SMTP_URL") if env.get("M2C_ALERT_TO") else None
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
