"""Commands about the machines of payers who do not pay: suspend, resume."""

from __future__ import annotations

from typing import Any

import click

from orchestration.commands.base import cli, command
from orchestration.ledger import open_ledger
from orchestration.locks import hold
from orchestration.settings import clock_from_env
from orchestration.steps import App, switch_machines
from orchestration.terminal import NEEDS_PERSON


def _who_and_why(purpose: str, by: str | None, reason: str | None) -> tuple[str, str]:
    if not by or not reason:
        raise click.UsageError(f"{purpose} needs --by and --reason")
    return by, reason


@command(cli, "suspend")
@click.option("--apply", is_flag=True, help="Switch; without it only the plan is shown.")
@click.option("--approve", metavar="PAYER", help="Let a suspension that waits for a person go on.")
@click.option("--by", help="Who approves.")
@click.option("--reason", help="Why, in words; kept in the ledger.")
def suspend_machines(
    app: App, apply: bool, approve: str | None, by: str | None, reason: str | None
) -> int:
    """Pause the machines of payers who were given notice and did not pay.

    The plan names every machine with its site and how that is switched. Machines of payers who owe
    nothing overdue any more run again first. An approval (--approve) is for the plan as it is: with
    other machines or invoices it is asked for again; it switches nothing by itself.
    """
    if approve is None:
        if by or reason:
            raise click.UsageError("--by and --reason go with --approve")
        return app.answer(switch_machines(app, "suspend", "machine_suspensions", apply=apply))
    if apply:
        raise click.UsageError("approve first, then run `m2c suspend --apply`")
    return _approve(app, approve, *_who_and_why("--approve", by, reason))


def _approve(app: App, payer_id: str, by: str, reason: str) -> int:
    from exporters.suspension import ApprovalError, approve_suspension, planned_suspensions

    with (
        hold(app.data_dir.locks, "warehouse", purpose=app.command, on_wait=app.terminal.note),
        open_ledger(app.data_dir, acting_as=by) as ledger,
    ):
        planned = planned_suspensions(app.data_dir.marts, ledger, clock=clock_from_env())
        try:
            plan = approve_suspension(ledger, planned, payer_id, by=by, reason=reason)
        except ApprovalError as error:
            app.terminal.error(str(error))
            return NEEDS_PERSON
    words = (
        f"{by} lets the suspension of {payer_id} go on: {len(plan.machines)} machines, "
        f"{plan.reason}. Run `m2c suspend --apply`."
    )
    answer: dict[str, Any] = {
        "payer_id": payer_id,
        "statement_numbers": list(plan.statement_numbers),
        "machines": [m.machine_id for m in plan.machines],
        "approved_by": by,
        "words": [words],
        "exit_code": 0,
    }
    return app.answer(answer)


@command(cli, "resume")
@click.option("--apply", is_flag=True, help="Switch; without it only the plan is shown.")
@click.option("--payer", help="Let this payer's machines run, whatever it owes.")
@click.option("--by", help="Who orders that.")
@click.option("--reason", help="Why, in words; kept in the ledger.")
def resume_machines(
    app: App, apply: bool, payer: str | None, by: str | None, reason: str | None
) -> int:
    """Let machines run again whose payer owes nothing overdue any more.

    Just those that the suspension paused and that are still the payer's. With --payer a person
    orders it.
    """
    if payer is None:
        if by or reason:
            raise click.UsageError("--by and --reason go with --payer")
        return app.answer(switch_machines(app, "resume", "machine_resumptions", apply=apply))
    who, why = _who_and_why("--payer", by, reason)
    return app.answer(
        switch_machines(
            app, "resume", "machine_resumptions", apply=apply, payer=payer, by=who, reason=why
        )
    )
