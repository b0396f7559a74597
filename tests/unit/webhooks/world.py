"""A ledger in which things happen, and marts with endpoints, made to order."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from exporters.ledger import Actor, Ledger, tables
from exporters.webhooks import Endpoint, World

START = datetime(2026, 11, 1, 8, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes, ok").decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"another one of thirty-two bytes.").decode()
ENV = {"HOOK": SECRET, "HOOK_NEW": OTHER_SECRET}


def endpoint(endpoint_id: str = "erp", url: str = "http://127.0.0.1:9/", **more: Any) -> Endpoint:
    """An endpoint on this machine."""
    return Endpoint(
        **{
            "endpoint_id": endpoint_id,
            "url": url,
            "secrets": ("HOOK",),
            "private": True,
            **more,
        }
    )


@dataclass
class Story:
    """What happens, fact by fact, on a clock that each step moves on."""

    ledger: Ledger
    now: datetime = START
    world: World = field(default_factory=lambda: World(built_at=START, endpoints=(endpoint(),)))
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 10**6)))

    def built(self, **more: Any) -> World:
        """The marts are built anew, and say this."""
        self.now += timedelta(minutes=1)
        self.world = replace(self.world, built_at=self.now, **more)
        return self.world

    def record(self, table: str, **values: Any) -> int:
        self.now += timedelta(seconds=1)
        return self.ledger.record(table, **values)

    def issue(
        self,
        number: str = "ACME-0001",
        *,
        total: str = "1000.00",
        payer: str = "ACME",
        customers: Iterable[str] = ("acme",),
    ) -> str:
        """A statement is issued, with a line a customer."""
        self.now += timedelta(seconds=1)
        series_no = next(self.numbers)
        statement_id = f"{payer}/2026-10/{number}"
        with self.ledger.transaction() as tx:
            tx.record(
                tables.issued_statements,
                statement_id=statement_id,
                statement_number=number,
                series=payer,
                series_no=series_no,
                period="2026-10",
                statement_kind="consolidated",
                payer_id=payer,
                seller_id="main",
                currency="EUR",
                net=Decimal(total),
                tax=Decimal("0.00"),
                total=Decimal(total),
                content_hash="h",
                book_version="b",
                code_version="c",
                issue_date=date(2026, 11, 3),
                due_date=date(2026, 11, 17),
            )
            for line_no, customer in enumerate(customers, 1):
                tx.record(
                    tables.issued_lines,
                    statement_number=number,
                    line_no=line_no,
                    period="2026-10",
                    statement_id=statement_id,
                    statement_kind="consolidated",
                    payer_id=payer,
                    customer_id=customer,
                    contract_id=f"K-{customer}",
                    book_version="b",
                    charge_code="energy",
                    charge_model="per_unit",
                    classification="metered",
                    quantity=Decimal(1),
                    unit="kWh",
                    unit_price=Decimal(total),
                    amount=Decimal(total),
                    currency="EUR",
                    tax_code="RC",
                    tax_rate_percent=Decimal(0),
                    tax_amount=Decimal(0),
                    line_key=f"{number}/{customer}/energy",
                )
        return number

    def see(
        self,
        number: str = "ACME-0001",
        *,
        due: str = "1000.00",
        paid: str = "0.00",
        credited: str = "0.00",
        status: str = "AUTHORISED",
        state: str = "published",
        link: str | None = "https://pay.example/1",
    ) -> None:
        """A document is seen in Xero."""
        self.record(
            "documents",
            statement_number=number,
            document_type="ACCREC",
            xero_id=f"x-{number}",
            status=status,
            publish_state=state,
            total=Decimal("1000.00"),
            amount_due=Decimal(due),
            amount_paid=Decimal(paid),
            amount_credited=Decimal(credited),
            currency="EUR",
            due_date=date(2026, 11, 17),
            online_url=link,
            raw='{"a raw answer": "secret"}',
        )

    def settle_exception(self, exception_id: str, action: str = "resolve") -> None:
        self.record(
            "exception_actions",
            exception_id=exception_id,
            action=action,
            by="Kari Nordmann",
            reason="a private remark",
        )

    # --- what came of it ---

    def events(self) -> list[dict[str, Any]]:
        """All events, their payload read."""
        table = tables.webhook_events
        rows = self.ledger.query(select(table).order_by(table.c.id))
        return [{**row, "payload": json.loads(row["payload"])} for row in rows]

    def types(self) -> list[str]:
        return [row["type"] for row in self.events()]

    def owed(self) -> list[tuple[str, str]]:
        """Endpoint and type of every delivery, in order."""
        owed, events = tables.webhook_deliveries, tables.webhook_events
        rows = self.ledger.query(
            select(owed.c.endpoint_id, events.c.type)
            .join(events, events.c.event_id == owed.c.event_id)
            .order_by(owed.c.id)
        )
        return [(row["endpoint_id"], row["type"]) for row in rows]


def an_exception(exception_id: str = "x-1", **more: Any) -> Mapping[str, Any]:
    """A row of billing_exceptions."""
    names = (
        *("period", "site_id", "meter_id", "machine_id", "contract_id", "event_id", "payer_id"),
        *("statement_id", "day"),
    )
    return {
        **dict.fromkeys(names),
        "exception_id": exception_id,
        "kind": "missing_readings",
        "severity": "warning",
        "detail": "no readings of pdu-1 for 7 hours",
        "first_seen": START,
        "status": "open",
        **more,
    }


def an_alert(key: str = "K-1/2026-11/energy_kwh/500", **more: Any) -> Mapping[str, Any]:
    """A row of alerts that is reached."""
    return {
        "alert_key": key,
        "period": "2026-11",
        "contract_id": "K-1",
        "customer_id": "acme",
        "measure": "energy_kwh",
        "unit": "kWh",
        "threshold": Decimal("500.000000000"),
        "value": Decimal("512.250000000"),
        "projected_value": Decimal("1000.000000000"),
        "measured_until": START,
        "detail": "K-1 used 512.25 kWh",
        **more,
    }


def story_at(url: str) -> Story:
    """A story in a ledger at this URL, opened on its clock."""
    told: list[Story] = []
    ledger = Ledger.open(
        url,
        clock=lambda: told[0].now if told else START,
        actor=Actor("test", "test", "test"),
    )
    told.append(Story(ledger))
    return told[0]
