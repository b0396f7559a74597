"""Events that other systems are told: the marts, the ledger and the environment, put together for
commands and jobs. Without Dagster: commands and the job `webhooks` do the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from exporters import webhooks
from exporters.collections.transport import TransportError, UnknownOutcome
from exporters.ledger import Ledger, restored
from exporters.reconcile.gate import require_reconciled
from exporters.webhooks import EventsReport, Noted, ReplayReport, TestReport, Wanted, World
from orchestration.ledger import open_ledger
from orchestration.locks import hold
from orchestration.rehearsal import refuse_endpoints_outside_loopback
from orchestration.settings import Clock, DataDir, SettingsError

ACTOR = "events"
OnWait = Callable[[str], None]


def send_waiting(
    data_dir: DataDir,
    *,
    clock: Clock,
    env: Mapping[str, str],
    apply: bool,
    on_wait: OnWait | None = None,
) -> EventsReport:
    """Make events of what is new and send what is due; without `apply` only tell what that would
    be, and write nothing.

    Raises MartsError, LedgerError (NotReconciledError for a restored ledger), SettingsError in a
    rehearsal whose endpoints are not on loopback.
    """
    world = webhooks.read_world(data_dir.marts)
    if not world.endpoints and not data_dir.has_ledger():
        return EventsReport(endpoints=[])
    if not apply:
        with open_ledger(data_dir, acting_as=ACTOR) as ledger:
            return webhooks.standing(ledger, world, env=env, clock=clock)
    with (
        hold(data_dir.locks, "webhooks", purpose="sending events", on_wait=on_wait),
        open_ledger(data_dir, acting_as=ACTOR) as ledger,
    ):
        world = webhooks.read_world(data_dir.marts)  # those of a moment ago, if it had to wait
        refuse_endpoints_outside_loopback(env, world.endpoints)
        require_reconciled(ledger, data_dir.marts)
        report = webhooks.send_events(ledger, world, env=env, clock=clock, apply=True)
    _tell_people(report, data_dir, clock=clock, env=env)
    return report


def _tell_people(
    report: EventsReport, data_dir: DataDir, *, clock: Clock, env: Mapping[str, str]
) -> None:
    """Mail what this run found that needs a person. It stands in `m2c events` too, so a mail that
    does not get out is a note and no failure."""
    if not (news := report.news()):
        return
    from orchestration import alerts  # loads Dagster, which takes seconds

    try:
        where = alerts.send(
            alerts.events_message(news, at=clock(), env=env), data_dir=data_dir, env=env
        )
    except (TransportError, UnknownOutcome, SettingsError, ValueError) as error:
        report.notes.append(f"nobody was mailed: {error}")
    else:
        report.notes.append(f"people are told: {where}")


def note_new(data_dir: DataDir) -> tuple[Noted, str | None]:
    """Make events of what is new, and know endpoints that are new, without sending anything; why
    that may not be done in words, if so. Raises MartsError, LedgerError."""
    world = webhooks.read_world(data_dir.marts)
    if not world.endpoints and not data_dir.has_ledger():
        return Noted(), None
    with (
        hold(data_dir.locks, "notices", purpose="making events"),
        open_ledger(data_dir, acting_as=ACTOR) as ledger,
    ):
        world = webhooks.read_world(data_dir.marts)
        with ledger.snapshot() as reader:
            why_not = restored.why_not_reconciled(reader) if world.endpoints else None
        return (Noted(), why_not) if why_not else (webhooks.note_events(ledger, world), None)


def something_to_send(data_dir: DataDir, *, clock: Clock) -> bool:
    """Whether a run would find anything to do now. Reads little, and writes nothing."""
    if not data_dir.marts.is_file() or not data_dir.has_ledger():
        return False
    world = webhooks.read_world(data_dir.marts)
    with open_ledger(data_dir, acting_as=ACTOR) as ledger, ledger.snapshot() as reader:
        if webhooks.anything_new(reader, world):
            return True
        now = clock()
        active = {one.endpoint_id for one in world.endpoints if one.active}
        active -= webhooks.disabled_endpoints(reader, world).keys()
        return any(
            one.endpoint_id in active and (one.next_at is None or one.next_at <= now)
            for one in webhooks.owed_deliveries(reader)
        )


def send_test_event(data_dir: DataDir, endpoint_id: str, *, env: Mapping[str, str]) -> TestReport:
    """Send a test event at once. Raises EndpointError, MartsError, SettingsError."""
    endpoint = webhooks.read_world(data_dir.marts).endpoint(endpoint_id)
    refuse_endpoints_outside_loopback(env, [endpoint])
    return webhooks.send_test(endpoint, env=env)


def replay(
    data_dir: DataDir, endpoint_id: str, wanted: Wanted, *, apply: bool
) -> tuple[ReplayReport, World]:
    """Owe events to an endpoint once more; without `apply` only tell which. Events are made of what
    is new first. Raises EndpointError, MartsError, LedgerError."""
    world = webhooks.read_world(data_dir.marts)
    endpoint = world.endpoint(endpoint_id)
    with open_ledger(data_dir, acting_as=ACTOR) as ledger:
        if apply:
            require_reconciled(ledger, data_dir.marts)
            webhooks.note_events(ledger, world)
            with ledger.transaction() as tx:
                events = webhooks.owe_again(tx, endpoint, wanted)
        else:
            with ledger.snapshot() as reader:
                events = webhooks.events_to_replay(reader, endpoint, wanted)
    return ReplayReport(endpoint_id=endpoint_id, events=events, planned=not apply), world


def say(
    data_dir: DataDir,
    action: Callable[..., list[str]],
    endpoint_id: str,
    *,
    by: str,
    reason: str,
) -> list[str]:
    """A person's word on an endpoint (`webhooks.enable`, `webhooks.settle`), in words."""
    world = webhooks.read_world(data_dir.marts)
    ledger: Ledger
    with open_ledger(data_dir, acting_as=by) as ledger:
        return action(ledger, world, endpoint_id, by=by, reason=reason)
