"""A failed run and a reached alert are told to somebody: by mail, or in the outbox."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from orchestration.alerts import alert_on_failure, failure_message, send, tell_reached_alerts
from orchestration.settings import DataDir, SettingsError

AT = datetime(2026, 11, 4, 6, 20, tzinfo=UTC)


def message(env: dict[str, str]) -> object:
    return failure_message(job="close", run_id="r-1", error="Disk full", at=AT, env=env)


class _Mailbox(socketserver.StreamRequestHandler):
    """Enough of SMTP to take a mail."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            word = line.split()[0].upper()
            if word in (b"MAIL", b"RCPT"):
                self.server.envelope.append(line.strip().decode())  # type: ignore[attr-defined]
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                while (row := self.rfile.readline()) != b".\r\n":
                    self.server.lines.append(row)  # type: ignore[attr-defined]
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 fine\r\n")


@pytest.fixture
def mailbox() -> Iterator[socketserver.TCPServer]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Mailbox) as server:
        server.envelope, server.lines = [], []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_without_a_mail_server_the_alert_is_left_in_the_outbox(tmp_path: Path) -> None:
    where = send(message({}), data_dir=DataDir(tmp_path), env={})
    [path] = (tmp_path / "outbox").glob("*.eml")
    assert str(path) == where
    mail = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert mail["Subject"] == "meter-to-cash: the run close failed"
    text = mail.get_content()
    for word in ("Job close", "run r-1", "2026-11-04 06:20 UTC", "Disk full"):
        assert word in text


def test_a_mail_server_is_not_used_unless_somebody_is_named(tmp_path: Path) -> None:
    env = {"M2C_SMTP_URL": "smtp://127.0.0.1:1"}
    send(message(env), data_dir=DataDir(tmp_path), env=env)
    assert len(list((tmp_path / "outbox").glob("*.eml"))) == 1


def test_everybody_named_gets_the_alert(tmp_path: Path, mailbox: socketserver.TCPServer) -> None:
    env = {
        "M2C_SMTP_URL": f"smtp://127.0.0.1:{mailbox.server_address[1]}",
        "M2C_ALERT_TO": "ops@example.com, finance@example.com",
        "M2C_ALERT_FROM": "billing@example.com",
    }
    send(message(env), data_dir=DataDir(tmp_path), env=env)
    said = " ".join(mailbox.envelope)  # type: ignore[attr-defined]
    for address in ("billing@example.com", "ops@example.com", "finance@example.com"):
        assert f"<{address}>" in said
    assert b"Disk full\r\n" in mailbox.lines  # type: ignore[attr-defined]
    assert not (tmp_path / "outbox").exists()


def test_a_failed_run_raises_an_alert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @dg.op
    def breaks() -> None:
        raise OSError("Disk full")

    @dg.job
    def nightly() -> None:
        breaks()

    monkeypatch.setenv("M2C_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("M2C_NOW", AT.isoformat())
    for name in ("M2C_ALERT_TO", "M2C_SMTP_URL"):
        monkeypatch.delenv(name, raising=False)
    with dg.DagsterInstance.ephemeral() as instance:
        done = nightly.execute_in_process(instance=instance, raise_on_error=False)
        context = dg.build_run_status_sensor_context(
            sensor_name="alert_on_failure",
            dagster_event=done.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=done.dagster_run,
        ).for_run_failure()
        alert_on_failure(context)
    [path] = (tmp_path / "outbox").glob("*.eml")
    assert done.run_id.encode() in path.read_bytes()


ALERT = """
create table customers as select 'nordic' as customer_id, 'Nordic Compute AS' as name;
create table alerts as select 'K-1/2026-11/amount/500' as alert_key, '2026-11' as period,
    'K-1' as contract_id, 'nordic' as customer_id, 'amount' as measure, 500.00 as threshold,
    'EUR 500.00' as threshold_in_words, true as is_reached,
    'Contract K-1 has cost a lot.' as detail;
"""


def alerting(tmp_path: Path) -> DataDir:
    data_dir = DataDir(tmp_path)
    data_dir.marts.parent.mkdir()
    with duckdb.connect(str(data_dir.marts)) as marts:
        marts.execute(ALERT)
    return data_dir


def test_reached_alerts_go_where_failures_go(
    tmp_path: Path, mailbox: socketserver.TCPServer
) -> None:
    env = {
        "M2C_SMTP_URL": f"smtp://127.0.0.1:{mailbox.server_address[1]}",
        "M2C_ALERT_TO": "ops@example.com, finance@example.com",
        "M2C_ALERT_FROM": "billing@example.com",
        "M2C_NOW": AT.isoformat(),
    }
    data_dir = alerting(tmp_path)
    report = tell_reached_alerts(data_dir, clock=lambda: AT, env=env)
    assert [(n.status, n.recipients) for n in report.notices] == [
        ("told", ("ops@example.com", "finance@example.com"))
    ]
    assert b"Contract K-1 has cost a lot.\r\n" in mailbox.lines  # type: ignore[attr-defined]
    assert tell_reached_alerts(data_dir, clock=lambda: AT, env=env).notices == ()


def test_a_rehearsal_tells_nobody_outside(tmp_path: Path) -> None:
    env = {
        "M2C_SMTP_URL": "smtp://mail.example.com",
        "M2C_ALERT_TO": "ops@example.com",
        "M2C_NOW": AT.isoformat(),
    }
    data_dir = alerting(tmp_path)
    with pytest.raises(SettingsError, match="rehearsal"):
        tell_reached_alerts(data_dir, clock=lambda: AT, env=env)
    assert not data_dir.outbox.exists()


def test_without_alerts_no_ledger_is_made(tmp_path: Path) -> None:
    data_dir = alerting(tmp_path)
    with duckdb.connect(str(data_dir.marts)) as marts:
        marts.execute("delete from alerts")
    assert tell_reached_alerts(data_dir, clock=lambda: AT, env={}).notices == ()
    assert not data_dir.ledger_file.exists()
