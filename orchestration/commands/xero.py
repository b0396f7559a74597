"""Commands about Xero: publish, payments."""

from __future__ import annotations

import click

from orchestration.commands.base import PERIOD, cli, command
from orchestration.steps import App, publish_period, read_payments


@command(cli)
@click.argument("period", type=PERIOD)
@click.option("--apply", is_flag=True, help="Act; without it only the plan is shown.")
def publish(app: App, period: str, apply: bool) -> int:
    """Bring a month's issued statements to Xero, each exactly once."""
    return app.answer(publish_period(app, period, apply=apply))


@command(cli)
def payments(app: App) -> int:
    """Read from Xero what was paid since the last time."""
    report = read_payments(app)
    if not app.terminal.as_json:
        return app.answer(report)
    app.terminal.json(report["documents"])
    return int(report["exit_code"])
