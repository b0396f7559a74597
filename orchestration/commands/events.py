"""Commands about events that other systems are told: how they stand, send, test, replay."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, time

import click

from orchestration.commands.base import DAY, cli, command, with_reason
from orchestration.settings import clock_from_env
from orchestration.steps import App
from orchestration.terminal import NEEDS_PERSON

# What talks HTTP takes a while to load, and every other command would pay for it.


@cli.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def events(context: click.Context, as_json: bool) -> None:
    """What other systems are told as signed webhooks (webhooks.yml): how that stands.

    Alone it tells what waits for each endpoint, what was delivered and what was given up.
    """
    if context.invoked_subcommand is None:
        context.exit(context.invoke(show, as_json=as_json))
    if as_json:
        raise click.UsageError(f"write --json behind {context.invoked_subcommand}")


@command(events, "status")
def show(app: App) -> int:
    """What waits for each endpoint, what was delivered, what was given up. Sends nothing."""
    return _send(app, apply=False)


@command(events, "send")
@click.option("--apply", is_flag=True, help="Act; without it only the plan is shown.")
def send(app: App, apply: bool) -> int:
    """Send what is due to each endpoint, until each has it."""
    return _send(app, apply=apply)


def _send(app: App, *, apply: bool) -> int:
    from orchestration.webhooks import send_waiting

    report = send_waiting(
        app.data_dir,
        clock=clock_from_env(),
        env=os.environ,
        apply=apply,
        on_wait=app.terminal.note,
    )
    return app.answer(
        {**report.as_dict(), "words": report.describe(), "exit_code": report.exit_code}
    )


@command(events, "test")
@click.argument("endpoint")
def test(app: App, endpoint: str) -> int:
    """Send a signed test event to ENDPOINT now, and show what it answers."""
    from orchestration.webhooks import send_test_event

    def work() -> int:
        report = send_test_event(app.data_dir, endpoint, env=os.environ)
        return app.answer(
            {**report.as_dict(), "words": report.describe(), "exit_code": report.exit_code}
        )

    return _in_words(app, work)


@command(events, "replay")
@click.option("--endpoint", required=True, help="Whom to send to.")
@click.option("--from", "first", type=DAY, help="Events from this UTC day on.")
@click.option("--to", "last", type=DAY, help="Events up to this UTC day, inclusive.")
@click.option("--type", "types", multiple=True, help="Only these, such as invoice.paid, invoice.*.")
@click.option("--event", "event_id", help="Only the event of this id.")
@click.option("--given-up", is_flag=True, help="Only what was given up.")
@click.option("--apply", is_flag=True, help="Act; without it only the plan is shown.")
def replay(
    app: App,
    endpoint: str,
    first: datetime | None,
    last: datetime | None,
    types: tuple[str, ...],
    event_id: str | None,
    given_up: bool,
    apply: bool,
) -> int:
    """Send an endpoint events of before, each under its own id.

    Those that the endpoint is told of by webhooks.yml, from when there was a book with an endpoint
    back to the first fact of the ledger.
    """
    from datetime import timedelta

    from exporters.webhooks import Wanted
    from orchestration.webhooks import replay as owe

    if first is None and event_id is None and not given_up:
        raise click.UsageError("say which: --from DAY, --event ID or --given-up")
    wanted = Wanted(
        since=None if first is None else datetime.combine(first, time(), UTC),
        until=None if last is None else datetime.combine(last, time(), UTC) + timedelta(days=1),
        types=types,
        given_up=given_up,
        event_id=event_id,
    )

    def work() -> int:
        report, _ = owe(app.data_dir, endpoint, wanted, apply=apply)
        if not apply:
            return app.answer({**report.as_dict(), "words": report.describe(), "exit_code": 0})
        if not app.terminal.as_json:
            app.terminal.lines(report.describe())
        return _send(app, apply=True)

    return _in_words(app, work)


@command(events, "enable")
@click.argument("endpoint")
@with_reason
def enable(app: App, endpoint: str, by: str, reason: str) -> int:
    """Send to ENDPOINT again, which said that it is gone (410); what waited is sent."""
    from exporters import webhooks

    return _say(app, webhooks.enable, endpoint, by=by, reason=reason)


@command(events, "settle")
@click.argument("endpoint")
@with_reason
def settle(app: App, endpoint: str, by: str, reason: str) -> int:
    """Answer for what was given up for ENDPOINT: nobody waits for it any more."""
    from exporters import webhooks

    return _say(app, webhooks.settle, endpoint, by=by, reason=reason)


def _say(app: App, action: Callable[..., list[str]], endpoint: str, *, by: str, reason: str) -> int:
    from orchestration.webhooks import say

    def work() -> int:
        words = say(app.data_dir, action, endpoint, by=by, reason=reason)
        return app.answer({"endpoint_id": endpoint, "words": words, "exit_code": 0})

    return _in_words(app, work)


def _in_words(app: App, work: Callable[[], int]) -> int:
    from exporters.webhooks.endpoints import EndpointError, UnknownEndpointError

    try:
        return work()
    except UnknownEndpointError as error:
        raise click.UsageError(str(error)) from error
    except EndpointError as error:
        app.terminal.error(str(error))
        return NEEDS_PERSON
