"""All four stand-ins as a client meets them: real sockets, a real database, real files."""

from __future__ import annotations

import csv
import json
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from connectors.sandbox import Sandbox, SandboxError
from connectors.sandbox.postgres import find_installations

START, END = date(2026, 10, 1), date(2026, 11, 1)

needs_postgres = pytest.mark.skipif(
    next(find_installations(), None) is None,
    reason="no PostgreSQL here: apt-get install postgresql, or pip install pgserver",
)


def make(book: Path, state: Path, **options: object) -> Sandbox:
    return Sandbox(book_dir=book, state_dir=state, seed=1, start=START, end=END, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def sandbox(small_book: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    state = tmp_path_factory.mktemp("state")
    with make(small_book, state, as_of=datetime(2026, 11, 4, 6, tzinfo=UTC)) as running:
        yield running


def in_month(text: str) -> bool:
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return datetime(2026, 10, 1, tzinfo=UTC) <= moment < datetime(2026, 11, 1, tzinfo=UTC)


def test_norway_serves_what_is_expected(sandbox: Sandbox) -> None:
    env, totals = sandbox.env, {}
    seen: set[tuple[str, str]] = set()
    url = env["M2C_NO_OSL1_URL"]
    with httpx.Client(base_url=url) as client:
        credentials = (env["M2C_NO_OSL1_CLIENT_ID"], env["M2C_NO_OSL1_CLIENT_SECRET"])
        form = {"grant_type": "client_credentials"}
        token = client.post("/oauth/token", data=form, auth=credentials).json()["access_token"]
        cursor, statuses = "", []
        while cursor is not None:
            answer = client.get(
                "/v1/readings",
                params={
                    "from": "2026-10-01T00:00:00Z",
                    "to": "2026-11-01T00:00:00Z",
                    **({"cursor": cursor} if cursor else {}),
                },
                headers={"authorization": f"Bearer {token}"},
            )
            statuses.append(answer.status_code)
            if answer.status_code != 200:
                continue
            body = json.loads(answer.text, parse_float=Decimal)
            for row in body["data"]:
                key = (row["meter"], row["from"])
                if key not in seen:
                    totals[row["meter"]] = totals.get(row["meter"], 0) + row["kwh"]
                    seen.add(key)
            cursor = body["next_cursor"]
    expected = sandbox.expected_kwh()
    assert {429, 503} <= set(statuses)
    assert totals == {m: kwh for (site, m), kwh in expected.items() if site == "NO-OSL1"}


def test_finland_serves_what_is_expected(sandbox: Sandbox) -> None:
    end = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
    answer = httpx.get(
        f"{sandbox.env['M2C_FI_HEL1_URL']}/api/v1/query",
        params={"query": 'pdu_outlet_energy_joules_total{site="FI-HEL1"}[31d]', "time": end},
    )
    expected = sandbox.expected_kwh()
    found = answer.json()["data"]["result"]
    assert len(found) == 5
    resets = 0
    for series in found:
        values = [Decimal(value) for _, value in series["values"]]
        steps = [b - a for a, b in pairwise(values)]
        resets += sum(step < 0 for step in steps)
        kwh = sum(max(step, Decimal(0)) for step in steps) / 3_600_000
        assert kwh == expected["FI-HEL1", series["metric"]["outlet"]]
    assert resets == 1


def test_ethiopia_drops_what_is_expected(sandbox: Sandbox) -> None:
    rows: dict[tuple[str, str], Decimal] = {}
    for path in sorted(Path(sandbox.env["M2C_ET_ADD1_DROPS"]).glob("*.csv")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for row in csv.DictReader(line for line in lines if not line.startswith("#")):
            if row["energy_wh"] and in_month(f"{row['interval_start']}+03:00"):
                rows[row["meter_id"], row["interval_start"]] = Decimal(row["energy_wh"])
    totals: dict[str, Decimal] = {}
    for (meter, _), watt_hours in rows.items():
        totals[meter] = totals.get(meter, Decimal(0)) + watt_hours / 1000
    expected = sandbox.expected_kwh()
    assert totals == {m: kwh for (site, m), kwh in expected.items() if site == "ET-ADD1"}


@needs_postgres
@pytest.mark.needs_postgres
def test_indonesia_serves_what_is_expected(sandbox: Sandbox) -> None:
    with psycopg.connect(sandbox.env["M2C_ID_JKT1_DSN"]) as connection:
        found = connection.execute(
            """
            with pairs as (
                select meter_id, sampled_at, watts,
                    lead(watts) over w as next_watts,
                    extract(epoch from lead(sampled_at) over w - sampled_at) as seconds
                from power_samples
                window w as (partition by meter_id order by sampled_at)
            )
            select meter_id, sum(round((watts + next_watts) * seconds / 7200000, 9))
            from pairs
            where sampled_at >= '2026-10-01T00:00:00Z' and sampled_at < '2026-11-01T00:00:00Z'
                and seconds <= 900 and watts < 20000 and next_watts < 20000
            group by meter_id
            """
        ).fetchall()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("delete from power_samples")
    expected = sandbox.expected_kwh()
    assert dict(found) == {m: kwh for (site, m), kwh in expected.items() if site == "ID-JKT1"}


def test_endpoints_file_is_for_its_owner_only(sandbox: Sandbox) -> None:
    path = sandbox._options.state_dir / "endpoints.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text(encoding="utf-8"))["env"] == sandbox.env


def test_a_second_start_on_the_same_state_is_refused(sandbox: Sandbox, small_book: Path) -> None:
    with pytest.raises(SandboxError, match="other stand-ins run on"):
        make(small_book, sandbox._options.state_dir).start()
    assert httpx.get(f"{sandbox.env['M2C_FI_HEL1_URL']}/-/ready").status_code == 200


def test_late_data_appears_when_the_clock_moves(small_book: Path, tmp_path: Path) -> None:
    with make(small_book, tmp_path, as_of=datetime(2026, 10, 18, 12, tzinfo=UTC)) as running:
        before = running.expected_kwh()
        files = len(list(Path(running.env["M2C_ET_ADD1_DROPS"]).iterdir()))
        assert running.advance(datetime(2026, 10, 21, 4, tzinfo=UTC)) > 0
        after = running.expected_kwh()
        assert len(list(Path(running.env["M2C_ET_ADD1_DROPS"]).iterdir())) == files + 3
        assert all(after[key] >= before[key] for key in before)
        answer = httpx.get(
            f"{running.env['M2C_FI_HEL1_URL']}/api/v1/query",
            params={"query": "pdu_outlet_energy_joules_total"},
        )
        assert answer.json()["data"]["result"][0]["value"][0] == running.now.timestamp()
        if running.kinds["ID-JKT1"] == "sql":
            with psycopg.connect(running.env["M2C_ID_JKT1_DSN"]) as connection:
                newest = connection.execute("select max(sampled_at) from power_samples").fetchone()
            assert newest == (running.now,)
        with pytest.raises(SandboxError, match="cannot go back"):
            running.advance(datetime(2026, 10, 1, tzinfo=UTC))


def test_outages(small_book: Path, tmp_path: Path) -> None:
    with make(small_book, tmp_path, as_of=datetime(2026, 10, 12, 7, tzinfo=UTC)) as running:
        norway = f"{running.env['M2C_NO_OSL1_URL']}/v1/meters"
        finland = f"{running.env['M2C_FI_HEL1_URL']}/-/ready"
        assert httpx.get(norway).status_code == 503
        assert httpx.get(finland).status_code == 200
        running.advance(datetime(2026, 10, 12, 14, tzinfo=UTC))
        assert httpx.get(norway).status_code == 401
        running.set_outage("FI-HEL1", is_down=True)
        assert httpx.get(finland).status_code == 503
        running.set_outage("FI-HEL1", is_down=False)
        assert httpx.get(finland).status_code == 200
        with pytest.raises(SandboxError, match="no site 'X'"):
            running.set_outage("X", is_down=True)


def test_without_postgresql_the_samples_come_as_drops(small_book: Path, tmp_path: Path) -> None:
    with make(small_book, tmp_path, kinds={"ID-JKT1": "files"}) as running:
        assert running.kinds["ID-JKT1"] == "files"
        assert list(Path(running.env["M2C_ID_JKT1_DROPS"]).glob("ID-JKT1_2026-10-*.csv"))
        assert "M2C_ID_JKT1_DSN" not in running.env


def test_a_second_start_on_a_kept_state_is_quick(small_book: Path, tmp_path: Path) -> None:
    with make(small_book, tmp_path):
        pass
    began = time.monotonic()
    with make(small_book, tmp_path):
        took = time.monotonic() - began
    # Alone on a machine it takes one second; others may be at work here.
    assert took < 15


def test_a_book_that_cannot_be_served_is_said(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"sites\.csv is missing"):
        make(tmp_path / "nowhere", tmp_path / "state").start()


PARENT = """
import sys, time
from datetime import date
from pathlib import Path
from connectors.sandbox import Sandbox
sandbox = Sandbox(book_dir=Path(sys.argv[1]), state_dir=Path(sys.argv[2]), seed=1,
                  start=date(2026, 10, 1), end=date(2026, 10, 3))
sandbox.start()
print(sandbox.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("victim", ["parent", "child"])
def test_nothing_outlives_a_kill(small_book: Path, tmp_path: Path, victim: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(small_book), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        family = child.children(recursive=True)
        if victim == "parent":
            family.append(child)
            parent.kill()
        else:
            child.kill()
        _, alive = psutil.wait_procs(family, timeout=20)
        parent.kill()
    assert alive == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_a_signal(
    small_book: Path, tmp_path: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "connectors.sandbox", "--book", str(small_book)]
    command += ["--state", str(tmp_path), "--from", "2026-10-01", "--to", "2026-10-03"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().endswith(f"{tmp_path / 'endpoints.json'}\n")
        content = json.loads((tmp_path / "endpoints.json").read_text(encoding="utf-8"))
        assert httpx.get(f"{content['env']['M2C_FI_HEL1_URL']}/-/ready").status_code == 200
        process.send_signal(number)
    assert process.returncode == 0
    assert not (tmp_path / "endpoints.json").exists()
