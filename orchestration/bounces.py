"""Mail that came back to a data dir: its drop folder and the mailbox of the environment. Without
Dagster: the command and the job do the same."""

from __future__ import annotations

from collections.abc import Mapping

from exporters.collections.addresses import is_address
from exporters.collections.bounces import BouncesReport, MailboxSettings, take_bounces
from exporters.ledger import Ledger
from orchestration.rehearsal import refuse_outside_mailbox
from orchestration.settings import Clock, DataDir, SettingsError


def bounce_address(env: Mapping[str, str]) -> str | None:
    """Where undeliverable mail comes back to, if said. Raises SettingsError for what is no
    address."""
    address = env.get("M2C_BOUNCE_ADDRESS") or None
    if address and not is_address(address):
        raise SettingsError(f"M2C_BOUNCE_ADDRESS {address!r} is not an e-mail address")
    return address


def take_returned_mail(
    data_dir: DataDir, ledger: Ledger, *, clock: Clock, env: Mapping[str, str], apply: bool
) -> BouncesReport:
    """Note which mails did not arrive, and put the reports away.

    Raises SettingsError for a mailbox that cannot be used or, in a rehearsal, is elsewhere.
    """
    if apply:
        refuse_outside_mailbox(env)
    try:
        mailbox = MailboxSettings.from_environment(env)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    return take_bounces(
        ledger,
        clock=clock,
        inbox=data_dir.bounces_inbox,
        taken=data_dir.bounces_taken,
        mailbox=mailbox,
        apply=apply,
    )
