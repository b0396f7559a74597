"""`m2c events`: from the first look to what was given up, by exit codes and words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import click
import dagster as dg
import duckdb
import pytest
from click.testing import CliRunner, Result

from exporters.ledger import copies, tables
from exporters.ledger.errors import NotReconciledError
from orchestration import cli
from orchestration.defs.events.assets import SendConfig, webhook_deliveries, webhook_events
from orchestration.defs.jobs import frequent_webhooks
from orchestration.instance import open_instance
from orchestration.ledger import actor_named, open_ledger
from orchestration.resources import DataDirResource
from orchestration.settings import DataDir, SettingsError
from orchestration.webhooks import note_new
from tests.integration.webhooks.receiver import Got, Receiver, Reply
from tests.unit.webhooks.marts import make_marts
from tests.unit.webhooks.world import SECRET, story_at

SAID = ("--by", "Kari", "--reason", "it is back")
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def serving() -> Iterator[Receiver]:
    with Receiver().serving() as receiver:
        yield receiver


@pytest.fixture
def erp(serving: Receiver) -> Receiver:
    """A receiver that takes everything and has nothing yet."""
    serving.got.clear()
    serving.taken.clear()
    serving.answer = lambda _got: Reply()
    return serving


@pytest.fixture
def data_dir(tmp_path: Path, erp: Receiver, monkeypatch: pytest.MonkeyPatch) -> DataDir:
    monkeypatch.setenv("HOOK", SECRET)
    found = DataDir(tmp_path / "data")
    make_marts(
        found.marts,
        f"insert into webhook_endpoints values ('erp', '{erp.url}', 'HOOK', null, null, null, "
        "null, true, true)",
    )
    return found


@pytest.fixture
def run(data_dir: DataDir) -> Run:
    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(
            cli.cli,
            ["--data-dir", str(data_dir.root), "events", *arguments],
            standalone_mode=False,
        )

    return invoke


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    with open_instance(DataDir(tmp_path)) as made:
        yield made


def issue(data_dir: DataDir, number: str = "ACME-0001") -> None:
    with open_ledger(data_dir, acting_as="test") as ledger:
        story = story_at(ledger.url)
        story.numbers = iter([int(number[-4:])])
        story.issue(number)
        story.ledger.close()


def sql(data_dir: DataDir, statement: str) -> None:
    with duckdb.connect(str(data_dir.marts)) as con:
        con.execute(statement)


def test_from_the_first_look_to_a_delivery(data_dir: DataDir, run: Run, erp: Receiver) -> None:
    sending = run("send")
    assert (sending.return_value, erp.got) == (0, [])
    assert run("send", "--apply").return_value == 0
    issue(data_dir)
    plan = run("send")
    assert "1 event would be made of what is new" in plan.stdout
    assert "1 waiting: 1 invoice.issued" in plan.stdout
    assert "nothing was sent: --apply sends" in plan.stdout
    assert erp.got == []
    done = run("send", "--apply")
    assert (done.return_value, "1 delivered" in done.stdout) == (0, True)
    assert [got.type for got in erp.taken] == ["invoice.issued"]
    report = json.loads(run("send", "--json").stdout)
    assert report["endpoints"][0]["delivered_ever"] == 1
    assert SECRET not in json.dumps(report)
    alone = run()
    assert "1 delivered so far" in alone.output


def test_json_stands_alone_or_behind_the_command(run: Run) -> None:
    assert json.loads(run("--json").output)["endpoints"][0]["endpoint_id"] == "erp"
    assert json.loads(run("status", "--json").output)["exit_code"] == 0
    refused = run("--json", "send")
    assert isinstance(refused.exception, click.UsageError)


def test_without_endpoints_and_without_a_ledger_nothing_is_made(
    data_dir: DataDir, run: Run
) -> None:
    sql(data_dir, "delete from webhook_endpoints")
    done = run("send", "--apply")
    assert done.return_value == 0
    assert "names no endpoint" in done.stdout
    assert note_new(data_dir)[0].events == 0
    assert not data_dir.ledger_file.exists()


def test_a_test_event(run: Run, erp: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("test", "erp")
    assert (done.return_value, [got.type for got in erp.taken]) == (0, ["endpoint.test"])
    erp.answer = lambda _got: Reply(404, body=b"no such path")
    done = run("test", "erp", "--json")
    assert (done.return_value, json.loads(done.stdout)["words"]) == (
        1,
        [f"erp ({erp.url}) did not take the test event {erp.got[-1].id}: 404 no such path"],
    )
    unknown = run("test", "crm")
    assert isinstance(unknown.exception, click.UsageError)
    assert "has erp" in str(unknown.exception)
    monkeypatch.delenv("HOOK")
    done = run("test", "erp")
    assert (done.return_value, "HOOK is not set" in done.stderr) == (1, True)


def test_a_replay_is_planned_first(data_dir: DataDir, run: Run, erp: Receiver) -> None:
    issue(data_dir)
    run("send", "--apply")  # the endpoint is new: what was before is not sent
    assert erp.got == []
    assert isinstance(run("replay", "--endpoint", "erp").exception, click.UsageError)
    plan = run("replay", "--endpoint", "erp", "--from", "2026-11-01")
    assert "erp: 1 invoice.issued would be sent again, each under its id" in plan.stdout
    assert erp.got == []
    late = run("replay", "--endpoint", "erp", "--from", "2026-11-02")
    assert "no event would be sent again" in late.stdout
    until = run("replay", "--endpoint", "erp", "--from", "2026-10-01", "--to", "2026-10-31")
    assert "no event" in until.stdout
    done = run("replay", "--endpoint", "erp", "--from", "2026-11-01", "--apply")
    assert (done.return_value, len(erp.taken)) == (0, 1)
    event = erp.taken[0].id
    run("replay", "--endpoint", "erp", "--event", event, "--apply")
    assert [got.id for got in erp.taken] == [event, event]


def test_gone_and_back(data_dir: DataDir, run: Run, erp: Receiver) -> None:
    run("send", "--apply")
    issue(data_dir)
    erp.answer = lambda _got: Reply(410)
    done = run("send", "--apply")
    assert (done.return_value, "m2c events enable erp" in done.stdout) == (1, True)
    (letter,) = data_dir.outbox.glob("*.eml")
    mail = message_from_bytes(letter.read_bytes(), policy=default)
    assert "events do not reach" in mail["Subject"]
    assert "answered 410 Gone" in mail.get_content()
    assert f"people are told: {letter}" in done.stdout
    run("send", "--apply")
    assert list(data_dir.outbox.iterdir()) == [letter]  # once
    assert "m2c events enable" in run().output
    erp.answer = lambda _got: Reply()
    assert run("enable", "erp", *SAID).return_value == 0
    with open_ledger(data_dir, acting_as="t") as ledger:
        facts = ledger.query(tables.webhook_endpoints.select())
    assert [(fact["state"], fact["actor"]) for fact in facts][-1] == ("enabled", "Kari")
    assert run("send", "--apply").return_value == 0
    assert len(erp.taken) == 1
    assert run("settle", "erp", *SAID).return_value == 0


def restore_older(data_dir: DataDir, copy: Path) -> None:
    copies.restore(
        data_dir.ledger_url,
        copy,
        clock=lambda: datetime.now(UTC),
        actor=actor_named("t"),
        source="a copy",
        kept_aside=data_dir.root / "aside",
        lose_newer=True,
    )


def test_a_restored_ledger_sends_nothing_before_it_is_reconciled(
    data_dir: DataDir, run: Run, erp: Receiver, tmp_path: Path
) -> None:
    run("send", "--apply")
    with open_ledger(data_dir, acting_as="t") as ledger:
        copy = copies.back_up(ledger, tmp_path / "copy.sqlite").path
    issue(data_dir)
    run("send", "--apply")
    before = [got.id for got in erp.taken]
    assert len(before) == 1
    restore_older(data_dir, copy)
    issue(data_dir)  # as it is found again
    refused = run("send", "--apply")
    assert isinstance(refused.exception, NotReconciledError)
    noted, why_not = note_new(data_dir)
    assert noted.events == 0
    assert "run m2c reconcile" in str(why_not)
    asset = webhook_events(data_dir=DataDirResource(root=str(data_dir.root)))  # type: ignore[call-arg]
    assert isinstance(asset, dg.MaterializeResult)
    assert asset.metadata is not None
    assert asset.metadata["exit_code"] == 1
    assert len(erp.taken) == 1
    with open_ledger(data_dir, acting_as="t") as ledger:
        (restore,) = ledger.query(tables.restores.select())
        ledger.record(
            tables.reconciliations,
            restore_id=restore["id"],
            complete=True,
            xero="never_used",
            heads=[],
            findings=[],
        )
    assert run("send", "--apply").return_value == 0
    # The same thing that happened is the same event: its receiver knows it.
    assert [got.id for got in erp.taken] == before * 2


def test_a_rehearsal_reaches_this_machine_alone(
    data_dir: DataDir, run: Run, erp: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("M2C_NOW", "2026-11-04T06:15:00Z")
    run("send", "--apply")
    issue(data_dir)
    run("send", "--apply")
    assert len(erp.taken) == 1  # signed with the real time, or it would be refused
    sql(
        data_dir,
        "insert into webhook_endpoints values ('crm', 'https://crm.example.com/', 'HOOK', null, "
        "null, null, null, true, false)",
    )
    for command in (("send", "--apply"), ("test", "crm")):
        refused = run(*command)
        assert isinstance(refused.exception, SettingsError)
        assert "endpoint crm of webhooks.yml is at crm.example.com" in str(refused.exception)
    assert run("send").return_value == 0
    assert run("test", "erp").return_value == 0
    sql(data_dir, "update webhook_endpoints set active = false where endpoint_id = 'crm'")
    assert run("send", "--apply").return_value == 0


def test_the_schedule_asks_for_a_run_only_when_there_is_something_to_do(
    data_dir: DataDir, run: Run, erp: Receiver, instance: dg.DagsterInstance
) -> None:
    def tick() -> Any:
        with dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=datetime(2026, 11, 4, tzinfo=UTC),
            resources={"data_dir": DataDirResource(root=str(data_dir.root))},
        ) as context:
            return frequent_webhooks.evaluate_tick(context)

    assert tick().skip_message  # without a ledger
    run("send", "--apply")
    assert tick().skip_message
    issue(data_dir)
    [request] = tick().run_requests
    assert request.run_config["ops"]["webhook_deliveries"]["config"] == {"apply": True}
    erp.answer = lambda _got: Reply(503, {"retry-after": "3600"})
    run("send", "--apply")
    assert len(erp.got) == 1
    assert tick().skip_message  # the retry is not due yet
    sql(data_dir, "update build_info set built_at = now()")
    assert tick().run_requests  # new marts may have new exceptions


def test_the_job_sends_when_it_is_told_to(data_dir: DataDir, erp: Receiver, run: Run) -> None:
    run("send", "--apply")
    issue(data_dir)
    resource = DataDirResource(root=str(data_dir.root))
    for apply, taken in ((False, 0), (True, 1)):
        done = webhook_deliveries(config=SendConfig(apply=apply), data_dir=resource)  # type: ignore[call-arg]
        assert isinstance(done, dg.MaterializeResult)
        assert done.metadata is not None
        assert (done.metadata["exit_code"], len(erp.taken)) == (0, taken)


def test_notes_of_a_build(data_dir: DataDir, erp: Receiver, run: Run) -> None:
    asset = webhook_events(data_dir=DataDirResource(root=str(data_dir.root)))  # type: ignore[call-arg]
    assert isinstance(asset, dg.MaterializeResult)
    assert asset.metadata is not None
    assert "erp is told what happens from now on" in str(asset.metadata["summary"])
    issue(data_dir)
    done = run("send", "--apply")
    assert (done.return_value, [got.type for got in erp.taken]) == (0, ["invoice.issued"])


def test_amounts_are_exact(data_dir: DataDir, run: Run, erp: Receiver) -> None:
    run("send", "--apply")
    issue(data_dir)
    run("send", "--apply")
    got: Got = erp.taken[0]
    assert got.event is not None
    assert Decimal(got.event["data"]["total"]) == Decimal("1000.00")
