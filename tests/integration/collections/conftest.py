"""A published marts file, a ledger with issued invoices, and a mail server, all real and local."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from exporters.collections import RemindReport, remind
from exporters.collections.bounces import BouncesReport, MailboxSettings, take_bounces
from exporters.ledger import Actor, Ledger, tables

MARTS = """
create table settings as select 6 as payments_fresh_hours;
create table payers(payer_id varchar, name varchar, country varchar, currency varchar,
  email varchar, language varchar, dunning_policy varchar, seller_id varchar);
create table sellers(seller_id varchar, is_default boolean, legal_name varchar, email varchar,
  address_line1 varchar, address_line2 varchar, postal_code varchar, city varchar,
  country varchar, registration_number varchar, xero_tenant_id varchar);
create table seller_bank_accounts(seller_id varchar, currency varchar, iban varchar, bic varchar,
  account varchar, bank varchar);
create table holidays(country varchar, date date, name varchar);
create table dunning_policies(policy_id varchar, only_above decimal(24,9),
  business_days_only boolean);
create table dunning_stages(policy_id varchar, stage_no integer, stage varchar,
  days_overdue integer, action varchar, template varchar, responsible varchar, copy_to varchar,
  requires varchar, notice_days integer, approval varchar);
insert into payers values
  ('NORDIC', 'Nordic Compute AS', 'NO', 'EUR', 'ap@nordic.example', null, 'standard', 'main'),
  ('JKT', 'PT Awan Jakarta', 'ID', 'EUR', 'finance@awan.example', 'id', 'standard', 'main');
insert into sellers values ('main', true, 'Machine Hosting AS', 'billing@hosting.example',
  'Main Street 1', null, '0150', 'Oslo', 'NO', 'NO 999 888 777', null);
insert into seller_bank_accounts values
  ('main', 'EUR', 'NO93 8601 1117 947', 'DNBANOKK', null, 'DNB');
insert into dunning_policies values ('standard', 25.00, true);
insert into dunning_stages values
  ('standard', 1, 'friendly_reminder', 3, 'email', 'friendly_reminder', 'billing', null, null,
   null, null),
  ('standard', 2, 'second_reminder', 10, 'email', 'second_reminder', 'billing', null, null,
   null, null),
  ('standard', 3, 'final_notice', 20, 'email', 'final_notice', 'account_manager',
   'head_of_finance|cfo@hosting.example', null, null, null),
  ('standard', 4, 'suspend', 30, 'suspend_machines', null, 'operations', null, 'final_notice', 7,
   'auto');
"""


@dataclass
class World:
    """A ledger, marts and an outbox under one folder, with a clock that the test turns."""

    folder: Path
    now: datetime = datetime(2026, 11, 13, 12, 0, tzinfo=UTC)  # a Friday
    _ledger: Ledger | None = None
    _issued: int = 0

    @property
    def marts(self) -> Path:
        return self.folder / "marts.duckdb"

    @property
    def texts(self) -> Path:
        return self.folder / "mail"

    @property
    def reports(self) -> Path:
        return self.folder / "reports"

    @property
    def inbox(self) -> Path:
        return self.folder / "bounces" / "inbox"

    @property
    def taken(self) -> Path:
        return self.folder / "bounces" / "taken"

    @property
    def outbox(self) -> Path:
        return self.folder / "outbox"

    @property
    def ledger(self) -> Ledger:
        if self._ledger is None:
            self._ledger = Ledger.open(
                f"sqlite:///{self.folder / 'ledger.sqlite'}",
                clock=lambda: self.now,
                actor=Actor(name="test", os_user="test", host="test"),
            )
        return self._ledger

    def sql(self, statement: str) -> None:
        with duckdb.connect(str(self.marts)) as marts:
            marts.execute(statement)

    def issue(
        self,
        number: str = "NORDIC-0001",
        *,
        due: date = date(2026, 11, 2),
        total: str = "1000.00",
        payer: str = "NORDIC",
    ) -> None:
        self._issued += 1
        self.ledger.record(
            tables.issued_statements,
            statement_id=f"{payer}/2026-10/{number}",
            statement_number=number,
            series=payer,
            series_no=self._issued,
            period="2026-10",
            statement_kind="consolidated",
            payer_id=payer,
            seller_id="main",
            currency="EUR",
            net=Decimal(total),
            tax=Decimal("0.00"),
            total=Decimal(total),
            content_hash="0" * 64,
            book_version="b-0",
            code_version="test",
            issue_date=due - timedelta(days=30),
            due_date=due,
        )
        self.observe(number, due=due, total=total)

    def observe(
        self,
        number: str = "NORDIC-0001",
        *,
        due: date = date(2026, 11, 2),
        total: str = "1000.00",
        amount_due: str | None = None,
        status: str = "AUTHORISED",
    ) -> None:
        self.ledger.record(
            tables.documents,
            statement_number=number,
            document_type="ACCREC",
            xero_id=f"x-{number}",
            status=status,
            publish_state="published",
            total=Decimal(total),
            amount_due=Decimal(amount_due or total),
            currency="EUR",
            due_date=due,
            online_url=f"https://in.xero.com/{number}",
        )

    def poll(self, tenant: str = "org-1") -> None:
        self.ledger.record(tables.poll_cursors, name=f"xero/{tenant}", cursor_at=self.now)

    def remind(
        self,
        *,
        apply: bool = True,
        smtp_url: str | None = None,
        poll: bool = True,
        xero_reminders_on: bool = False,
        bounce_address: str | None = None,
    ) -> RemindReport:
        if poll:
            self.poll()
        return remind(
            self.marts,
            self.ledger,
            clock=lambda: self.now,
            outbox_dir=self.outbox,
            smtp_url=smtp_url,
            apply=apply,
            xero_reminders_on=xero_reminders_on,
            texts_dir=self.texts,
            reports_dir=self.reports,
            bounce_address=bounce_address,
        )

    def bounces(
        self, *, apply: bool = True, mailbox: MailboxSettings | None = None
    ) -> BouncesReport:
        return take_bounces(
            self.ledger,
            clock=lambda: self.now,
            inbox=self.inbox,
            taken=self.taken,
            mailbox=mailbox,
            apply=apply,
        )

    def drop(self, name: str, content: bytes) -> Path:
        """Put a file into the drop folder for returned mail."""
        self.inbox.mkdir(parents=True, exist_ok=True)
        path = self.inbox / name
        path.write_bytes(content)
        return path

    def render(self, number: str, content: bytes = b"%PDF-1.7 statement") -> None:
        """The PDF of a statement, where issuing puts it."""
        folder = self.reports / "2026-10"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.pdf").write_bytes(content)

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)

    def mails(self) -> list[Path]:
        return sorted(self.outbox.glob("*.eml"))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(folder=tmp_path)
    made.sql(MARTS)
    yield made
    if made._ledger is not None:
        made._ledger.close()


@dataclass
class SmtpSink:
    """A mail server on loopback that keeps what it accepts. `answers` gives the reply to a command
    line (`MAIL FROM:<…>`, `DATA`, or `.` for the end of a message); `hang_up` means no reply and
    the connection closed."""

    port: int = 0
    accepted: list[tuple[tuple[str, ...], bytes]] = field(default_factory=list)
    answers: Callable[[str], str | None] = lambda _line: None
    sessions: int = 0
    extensions: tuple[str, ...] = ()
    lines: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sessions += 1
        recipients: list[str] = []
        try:
            writer.write(b"220 sink ESMTP\r\n")
            while line := (await reader.readline()).decode().strip():
                line = line[:4].upper() + line[4:]  # smtplib writes `mail FROM:`
                verb = line.split()[0].split(":")[0].upper()
                self.lines.append(line)
                reply = self.answers(line)
                if reply == "hang_up":
                    return
                if reply is None and verb == "DATA":
                    writer.write(b"354 go on\r\n")
                    content = await reader.readuntil(b"\r\n.\r\n")
                    reply = self.answers(".")
                    if reply == "hang_up":
                        return
                    if reply is None or reply == "accept_and_hang_up":
                        self.accepted.append((tuple(recipients), content[:-3]))
                    if reply == "accept_and_hang_up":
                        return
                    reply = reply or "250 queued"
                elif verb == "MAIL":
                    recipients = []
                elif reply is None and verb == "RCPT":
                    recipients.append(line.partition("<")[2].partition(">")[0])
                elif reply is None and verb == "EHLO" and self.extensions:
                    *first, last = ("sink", *self.extensions)
                    reply = "\r\n".join([*(f"250-{one}" for one in first), f"250 {last}"])
                writer.write(f"{reply or '250 ok'}\r\n".encode())
                if verb == "QUIT":
                    return
        finally:
            writer.close()


@pytest.fixture
def smtp() -> Iterator[SmtpSink]:
    sink = SmtpSink()
    loop = asyncio.new_event_loop()
    started = threading.Event()
    stop: list[asyncio.Event] = []

    async def main() -> None:
        stop.append(asyncio.Event())
        server = await asyncio.start_server(sink.serve, "127.0.0.1", 0)
        sink.port = server.sockets[0].getsockname()[1]
        async with server:
            started.set()
            await stop[0].wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    assert started.wait(10)
    yield sink
    loop.call_soon_threadsafe(stop[0].set)
    thread.join(10)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
