"""`m2c` as people and programs meet it: exit codes, help, one JSON document, errors in words."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from exporters.ledger import tables
from exporters.ledger.story import story
from exporters.marts import open_marts
from orchestration.cli import cli, main
from tests.unit.statements.evidence_of_packs import run_alone

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden" / "01-basic"
PERIOD = "2026-10"
CLOSE = "2026-11-04T06:15:00+00:00"
WHY = ("--by", "Kari", "--reason", "checked")


@dataclass(frozen=True)
class Said:
    """What a command said when it was run in this process."""

    code: int
    out: str
    err: str


@pytest.fixture
def here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """`m2c` in this process, for commands that run no job: no two seconds of imports for each."""

    def run(data_dir: Path, *arguments: str) -> Said:
        for name in ("M2C_NOW", "M2C_LEDGER_URL", "DAGSTER_HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("M2C_DATA_DIR", str(data_dir))  # and put back what the command sets
        monkeypatch.setenv("M2C_LOG_LEVEL", "CRITICAL")
        monkeypatch.setattr(sys, "argv", ["m2c", "--data-dir", str(data_dir), *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        return Said(int(stop.value.code or 0), *capsys.readouterr())

    return run


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path]
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            found += _commands(command, (*path, name))
        else:
            found.append((*path, name))
    return found


@pytest.mark.parametrize("path", _commands(cli), ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    from click.testing import CliRunner

    result = CliRunner().invoke(cli, [*path, "--help"])
    assert result.exit_code == 0
    usage, *rest = result.output.splitlines()
    assert usage.startswith("Usage: ")
    words = " ".join(line.strip() for line in rest).split("Options:")[0].strip()
    assert words[0].isupper()
    assert words.split(" Commands:")[0].rstrip().endswith((".", ")"))
    assert path == () or "Traceback" not in result.output
    command: Any = cli
    for name in path:
        command = command.commands[name]
    if not isinstance(command, click.Group):
        assert "--json" in result.output or path in (("ui",), ("demo",))
    for option in command.params:
        if isinstance(option, click.Option) and "--help" not in option.opts:
            assert option.help, f"{path}: {option.opts} says nothing"


def test_help_and_version_by_the_program_itself(m2c: Any, tmp_path: Path) -> None:
    answer = m2c(tmp_path / "none", "--help")
    assert answer.code == 0
    assert "A month goes: land, build, close, approve, issue, publish" in answer.out
    answer = m2c(tmp_path / "none", "--version")
    assert answer.code == 0
    assert answer.out.startswith("m2c 0.")
    assert list(tmp_path.iterdir()) == []


# --- a month, each command with --json ------------------------------------------------------------


def test_close_says_who_waits(month: Any) -> None:
    answer = month.answers["close"]
    assert answer.code == 1, answer.err
    report = answer.json()
    assert report["exit_code"] == 1
    waiting = [s["statement_id"] for s in report["statements"] if s["state"] == "needs_approval"]
    assert waiting == [f"ABAY/{PERIOD}/all"]


def test_approve_and_issue_are_done(month: Any) -> None:
    for name in ("approve", "issue"):
        assert month.answers[name].code == 0, month.answers[name].err
        assert isinstance(month.answers[name].json(), dict)
    sql = f"select distinct state from statements where period = '{PERIOD}'"
    assert month.place.published(sql) == [("issued",)]


def test_a_month_by_hand_is_what_the_demo_bills(month: Any, demo: Any) -> None:
    assert month.place.statements() == demo.place.statements()
    assert month.place.lines() == demo.place.lines()


def test_publish_shows_its_plan_and_then_acts(invoiced: Any, month: Any) -> None:
    plan, done = (invoiced.answers[name] for name in ("plan", "publish"))
    assert (plan.code, done.code) == (0, 0), plan.err + done.err
    assert plan.json()["period"] == done.json()["period"] == PERIOD
    assert month.place.published("select count(xero_id) from invoices") == [(0,)]
    [(statements, invoices)] = invoiced.place.published(
        f"""
        select (select count(*) from statements where period = '{PERIOD}'),
            (select count(xero_id) from invoices)
        """
    )
    assert statements == invoices > 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["status"], 0),
        (["statements"], 0),
        (["statements", "--period", PERIOD], 0),
        (["statements", "--period", "2019-01"], 0),
        (["statements", f"ABAY/{PERIOD}/all"], 0),
        (["statements", "ABAY-0001"], 0),
        (["exceptions"], None),
        (["exceptions", "--all", "--period", PERIOD], None),
        (["story", f"ABAY/{PERIOD}/all"], 0),
        (["book", "check"], 0),
        (["book", "show"], 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_readers_print_one_document_or_words(
    here: Any, invoiced: Any, arguments: list[str], code: int | None
) -> None:
    answer = here(invoiced.place.data_dir, *arguments, "--json")
    assert answer.code in ((0, 1) if code is None else (code,)), answer.err
    assert answer.err == ""
    json.loads(answer.out)
    words = here(invoiced.place.data_dir, *arguments)
    assert words.code == answer.code
    assert words.out != answer.out


LINE = f"K-4001/{PERIOD}/1/energy/ET-ADD1/-"


def test_explain_takes_a_line_apart_down_to_its_batches(here: Any, invoiced: Any) -> None:
    data_dir = invoiced.place.data_dir
    told = json.loads(here(data_dir, "explain", LINE, "--json").out)
    assert (told["line"]["line_key"], told["agrees"]) == (LINE, True)
    levels = {level["name"]: level for level in told["levels"]}
    assert {level["agrees"] for level in levels.values()} == {True}
    assert levels["days"]["sum"] == levels["machines"]["sum"]
    day = levels["days"]["rows"][10]
    assert day["batches"][0]["files"][0].startswith("landing/readings/site_id=ET-ADD1/")

    machine = levels["machines"]["rows"][0]["machine_id"]
    asked = ("explain", LINE, "--day", day["day"], "--machine", machine)
    readings = json.loads(here(data_dir, *asked, "--json").out)["levels"][-2]
    assert (readings["name"], readings["agrees"]) == ("intervals", True)
    assert {row["machine_id"] for row in readings["rows"]} == {machine}
    words = here(data_dir, *asked)
    assert words.code == 0, words.err
    for word in (told["rule"]["words"], machine, "Landed batches", "days add up to", ": yes"):
        assert word in words.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((LINE[:-2],), f"did you mean {LINE}"),
        ((LINE, "--day", "2026-01-01"), "has no usage on 2026-01-01"),
        ((LINE, "--machine", "nobody"), "machine 'nobody' has no usage at ET-ADD1"),
        ((f"K-1001/{PERIOD}/1/hosting/NO-OSL1/-", "--day", f"{PERIOD}-03"), "is recurring"),
    ],
)
def test_explain_says_what_it_cannot(
    here: Any, invoiced: Any, arguments: tuple[str, ...], said: str
) -> None:
    answer = here(invoiced.place.data_dir, "explain", *arguments)
    assert answer.code == 2
    assert said in " ".join(answer.err.split())


def test_explain_tells_what_the_landed_files_do_not_hold(here: Any, built: Any) -> None:
    told = json.loads(here(built.data_dir, "explain", LINE, "--json").out)
    (days,) = (level for level in told["levels"] if level["name"] == "days")
    day = days["rows"][10]
    path = built.data_dir / day["batches"][-1]["files"][0]
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.slice(0, 0), path)

    answer = here(built.data_dir, "explain", LINE, "--day", day["day"], "--json")
    assert answer.code == 1
    (readings,) = (
        level for level in json.loads(answer.out)["levels"] if level["name"] == "intervals"
    )
    assert readings["agrees"] is False
    assert "are not found in them" in readings["notes"][-1]
    assert here(built.data_dir, "explain", LINE, "--day", day["day"]).code == 1

    path.unlink()
    answer = here(built.data_dir, "explain", LINE, "--day", day["day"])
    assert answer.code == 1
    assert f"{path.name} is not there any more" in answer.err


def test_status_shows_where_things_stand(here: Any, invoiced: Any) -> None:
    answer = here(invoiced.place.data_dir, "status")
    assert answer.code == 0
    for word in ("NO-OSL1", "Periods", PERIOD, "Exceptions"):
        assert word in answer.out


@pytest.fixture(scope="module")
def later(invoiced: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The month in Xero, five weeks later, to act on."""
    return invoiced.place.copy_to(tmp_path_factory.mktemp("later") / "data")


def test_payments_reminders_and_what_people_note(later: Any) -> None:
    now = {"M2C_NOW": "2026-12-09T09:00:00+00:00"}
    [(exception,)] = later.published(
        f"""
        select min(exception_id) from billing_exceptions
        where contract_id is not null and period = '{PERIOD}'
        """
    )
    with later.xero() as xero:
        env = {**xero.environment(), **now}
        answers = {
            "ack": later.run("exception", "ack", exception, *WHY, "--json", **env),
            "payments": later.run("payments", "--json", **env),
            "hold": later.run("hold", "AURORA", *WHY, "--json", **env),
            "remind": later.run("remind", "--json", **env),
        }
    for name, answer in answers.items():
        assert answer.code == 0, f"{name}: {answer.err}"
        answer.json()
    assert "AURORA" in answers["remind"].out
    assert not (later / "outbox").exists() or not list((later / "outbox").glob("*.eml"))
    _the_mart_tells_every_story(later, exception)


def _the_mart_tells_every_story(place: Any, exception: str) -> None:
    columns = "happened_at, who, kind, words, source_table, source_row_id"
    in_mart: list[tuple[Any, ...]] = []
    with (
        place.ledger() as ledger,
        open_marts(place / "published" / "marts.duckdb") as marts,
    ):
        for row in marts.rows("select * from statements"):
            statement = row["statement_id"]
            told = [
                (e.at, e.who, e.kind, e.words, e.source_table, e.source_row_id)
                for e in story(ledger, statement, marts).events
            ]
            expected = marts.rows(
                f"select {columns} from statement_history where statement_id = $1 "
                "order by event_no",
                [statement],
            )
            assert told == [tuple(event.values()) for event in expected], statement
            in_mart += told
    kinds = {event[2] for event in in_mart}
    assert {"closed", "approved", "issued", "request", "answer", "document", "hold"} <= kinds
    assert "readings" in kinds
    settled = [event for event in in_mart if event[2] == "exception"]
    assert settled
    assert all(f"exception {exception} acknowledged by" in event[3] for event in settled)


def test_evidence_comes_out_of_a_folder_alone(here: Any, invoiced: Any, tmp_path: Path) -> None:
    data_dir = invoiced.place.data_dir
    for (number,) in invoiced.place.published(
        "select statement_number from statements where state = 'issued' order by 1"
    ):
        out = tmp_path / "written" / number
        answer = here(data_dir, "evidence", number, "--out", str(out), "--json")
        assert answer.code == 0, (number, answer.out, answer.err)
        assert json.loads(answer.out)["agrees"] is True
        moved = tmp_path / number
        shutil.move(out, moved)
        assert "ALL EQUAL" in run_alone(moved), number
    wrong = here(data_dir, "evidence", "NOBODY-0001", "--out", str(tmp_path / "x"))
    assert (wrong.code, "no statement 'NOBODY-0001'" in wrong.err) == (2, True)


# --- wrong use and what a person has to see to ----------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["bogus"], 2, "No such command 'bogus'"),
        (["close"], 2, "Missing argument 'PERIOD'"),
        (["close", "2026-13"], 2, "'2026-13' is not a period"),
        (["land", "--from", "2026-10-32", "--to", "2026-11-01"], 2, "is not a day"),
        (["land", "--from", "2026-11-02", "--to", "2026-11-01"], 2, "lies before"),
        (
            ["land", "--from", "2026-11-01", "--to", "2026-11-01", "--site", "XX-1"],
            2,
            "no source for XX-1; sources.yml has ET-ADD1",
        ),
        (["statements", "NOBODY/2026-10/all"], 2, "NOBODY/2026-10/all"),
        (["story", "NOBODY/2026-10/all"], 2, "NOBODY/2026-10/all"),
        (["approve", "NOBODY/2026-10/all", *WHY], 2, "NOBODY/2026-10/all"),
        (["exception", "ack", "nothing", *WHY], 2, "nothing"),
        (["promise", "NOBODY", "2027-01-01", *WHY], 2, "NOBODY"),
        (["hold", "NOBODY", *WHY], 2, "NOBODY"),
        (["dispute", "open", "NOBODY-0001", *WHY], 2, "NOBODY-0001"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_said_in_words(
    here: Any, invoiced: Any, arguments: list[str], code: int, words: str
) -> None:
    answer = here(invoiced.place.data_dir, *arguments)
    assert answer.code == code, answer.err
    assert words in answer.err
    assert answer.out == ""
    assert "Traceback" not in answer.err


def test_publishing_without_an_app_names_what_is_missing(issued: Any) -> None:
    answer = issued.run("publish", PERIOD)
    assert answer.code == 2
    assert "M2C_XERO_CLIENT_ID" in answer.err
    assert "Traceback" not in answer.err


def test_a_rehearsal_does_not_reach_a_real_xero(issued: Any) -> None:
    answer = issued.run(
        "publish",
        PERIOD,
        "--apply",
        "--json",
        M2C_NOW=CLOSE,
        M2C_XERO_CLIENT_ID="a",
        M2C_XERO_CLIENT_SECRET="b",
    )
    assert answer.code == 2
    assert "this is a rehearsal" in answer.err
    assert answer.out == ""


def test_a_xero_that_is_away_is_a_failure_in_words(issued: Any) -> None:
    with issued.xero() as xero:
        env = {**xero.environment(), "M2C_NOW": CLOSE}
    answer = issued.run("publish", PERIOD, "--apply", "--json", **env)
    assert answer.code in (1, 3)
    assert "Traceback" not in answer.err + answer.out
    assert set(issued.run_states()) <= {"SUCCESS", "FAILURE"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["build"], 2, "no folder book"),
        (["close", PERIOD], 2, "no folder book"),
        (["status"], 1, "run m2c build first"),
        (["story", "X"], 2, "no ledger yet"),
        (["book", "check"], 1, "there is no such folder"),
        (["land", "--from", "2026-10-01", "--to", "2026-10-01"], 1, "there is no such folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistyped_data_dir_is_told_and_not_made(
    here: Any, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    answer = here(tmp_path / "typo", *arguments)
    assert answer.code == code, answer.err
    assert words in answer.err
    assert str(tmp_path / "typo") in answer.err
    assert not (tmp_path / "typo").exists()


# --- a data dir filled by hand --------------------------------------------------------------------


@pytest.mark.skipif(not GOLDEN.is_dir(), reason=f"no golden scenario at {GOLDEN}")
def test_a_data_dir_of_another_version_is_told_before_dbt_is_asked(issued: Any) -> None:
    (issued / "warehouse" / "book" / "holidays.parquet").unlink()  # as if new in this version
    why = ("--by", "Kari Nordmann", "--reason", "called")
    answer = issued.run("promise", "ABAY", "2026-12-24", *why, M2C_NOW=CLOSE)
    assert answer.code == 1, answer.err
    assert "was built by version " in answer.err
    assert "run `m2c build` first; what is noted in the ledger stays noted" in answer.err
    assert "dbt" not in answer.err
    assert "Traceback" not in answer.err
    with issued.ledger() as ledger:
        assert len(ledger.query(select(tables.promises))) == 1


def test_book_and_landing_by_hand_are_enough(m2c: Any, tmp_path: Path) -> None:
    data_dir = tmp_path / "by hand"
    shutil.copytree(GOLDEN / "data", data_dir, copy_function=shutil.copyfile)
    answer = m2c(data_dir, "close", "2026-05", "--dry-run", "--json")
    assert answer.code in (0, 1), answer.err
    assert answer.json()["statements"]
    with closing(sqlite3.connect(data_dir / "ledger" / "ledger.sqlite")) as store:
        assert store.execute("select count(*) from chain").fetchone() == (0,)
    answer = m2c(data_dir, "land", "--from", "2026-05-01", "--to", "2026-05-01")
    assert answer.code == 2
    assert "names no site to read from" in answer.err
