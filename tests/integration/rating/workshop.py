"""A data dir filled by hand, built by dbt itself: a book, some readings and events, and statements
that count as issued."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.book import compile_book, load_book
from connectors.landing import scan
from exporters.ledger.extract import write_extract
from orchestration.settings import DataDir
from orchestration.warehouse import write_context

REPOSITORY = Path(__file__).resolve().parents[3]
PAYERS = (
    "payer_id,name,country,currency,email,payment_terms_days,consolidation,tax_number,po_number,"
    "approval_owner,payment_methods,dunning_policy,auto_approve_limit,language,address_line1,"
    "address_line2,postal_code,city,seller_id\n"
    "ACME,Acme,NO,EUR,acme@example.com,30,one,,,,,,1000.00,,Street 1,,,Oslo,\n"
    "BETA,Beta,NO,EUR,beta@example.com,30,by_site,,,,,,1000.00,,Street 2,,,Oslo,\n"
)
BOOK = {
    "sites.csv": "site_id,name,country,region,timezone,tax_jurisdiction,expected_interval_minutes,"
    "default_rated_kw,estimation\nOSL,Oslo,NO,nordics,UTC,NO,60,,none\n",
    "machines.csv": "machine_id,site_id,meter_id,valid_from,valid_to,metrics,model,rated_kw,"
    "asset_tag,never_suspend\nm1,OSL,pdu-1,2025-01-01,,,,,,\n",
    "customers.csv": "customer_id,name,parent_customer_id,email,language\nacme,Acme,,,\n",
    "payers.csv": PAYERS,
    "contracts.csv": "contract_id,customer_id,payer_id,plan_id,billing_timezone,valid_from,"
    "valid_to,po_number\nK,acme,ACME,metered,UTC,2026-01-01,,\n",
    "assignments.csv": "machine_id,contract_id,valid_from,valid_to\nm1,K,2026-01-01,\n",
    "tax_rules.csv": "site_jurisdiction,payer_country,charge_code,tax_code,rate_percent,valid_from,"
    "valid_to,note\n,,,NO25,25,2020-01-01,,\n",
    "payer_routes.csv": "contract_id,site_id,charge_code,payer_id,priority\n",
    "plans/metered.yml": """plan_id: metered
description: Metered
currency: EUR
versions:
- version: 1
  valid_from: 2026-01
  charges:
  - {code: energy, model: per_unit, rate: '0.10'}
  - {code: desk, model: recurring, per: contract, amount: '30.00'}
  - {code: hands, model: pass_through, service_codes: [hands]}
  - {code: commit, model: minimum_commit, amount: '40.00', charges: [energy]}
""",
}
READINGS = pa.schema(
    [
        *((name, pa.string()) for name in ("site_id", "source", "meter_id", "metric", "kind")),
        ("unit", pa.string()),
        ("interval_start", pa.timestamp("us", "UTC")),
        ("interval_end", pa.timestamp("us", "UTC")),
        ("value", pa.decimal128(24, 9)),
        ("quality", pa.string()),
        ("batch_id", pa.string()),
        ("ingested_at", pa.timestamp("us", "UTC")),
        ("date", pa.date32()),
    ]
)
EVENTS = pa.schema(
    [
        *((name, pa.string()) for name in ("event_id", "site_id", "machine_id", "contract_id")),
        ("service_code", pa.string()),
        ("classification", pa.string()),
        ("occurred_at", pa.timestamp("us", "UTC")),
        ("quantity", pa.decimal128(18, 6)),
        ("unit", pa.string()),
        ("unit_amount", pa.decimal128(18, 6)),
        ("currency", pa.string()),
        ("description", pa.string()),
        ("batch_id", pa.string()),
        ("ingested_at", pa.timestamp("us", "UTC")),
        ("date", pa.date32()),
    ]
)


@dataclass
class Workshop:
    """One data dir and what a test does with it."""

    path: Path
    now: datetime = datetime(2026, 4, 5, 6, 0, tzinfo=UTC)
    batches: int = field(default=0)
    version: str = "v1"

    def write_book(self, **changes: str) -> None:
        """Write the book; keywords replace files (`payer_routes` for payer_routes.csv)."""
        files = BOOK | {f"{name}.csv": content for name, content in changes.items()}
        for name, content in files.items():
            target = self.path / "book" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content, encoding="utf-8")

    def _batch(self, kind: str, schema: pa.Schema, row: dict[str, Any], day: date) -> None:
        self.batches += 1
        batch_id = f"b-{self.batches:03d}"
        folder = self.path / "landing" / kind / f"site_id=OSL/date={day}"
        folder.mkdir(parents=True, exist_ok=True)
        filled = {name: row.get(name) for name in schema.names} | {
            "site_id": "OSL",
            "batch_id": batch_id,
            "date": day,
        }
        table = pa.Table.from_pylist([filled], schema=schema)
        pq.write_table(table, folder / f"{batch_id}.parquet")

    def read_day(self, day: str, kwh: str, *, ingested: str) -> None:
        """Land one reading of a whole UTC day."""
        start = datetime.fromisoformat(day).replace(tzinfo=UTC)
        row = {
            "source": "hand",
            "meter_id": "pdu-1",
            "metric": "energy",
            "kind": "interval",
            "unit": "kWh",
            "interval_start": start,
            "interval_end": start + timedelta(days=1),
            "value": Decimal(kwh),
            "quality": "good",
            "ingested_at": datetime.fromisoformat(ingested).replace(tzinfo=UTC),
        }
        self._batch("readings", READINGS, row, start.date())

    def event(self, event_id: str, day: str, amount: str, *, ingested: str, **values: str) -> None:
        """Land one charge event of service `hands`."""
        at = datetime.fromisoformat(day).replace(tzinfo=UTC)
        row = {
            "event_id": event_id,
            "contract_id": "K",
            "service_code": "hands",
            "classification": "variable",
            "occurred_at": at,
            "quantity": Decimal(1),
            "unit": "h",
            "unit_amount": Decimal(amount),
            "currency": "EUR",
            "description": "work on site",
            "ingested_at": datetime.fromisoformat(ingested).replace(tzinfo=UTC),
        }
        self._batch("charge_events", EVENTS, row | values, at.date())

    def build(self) -> None:
        """Compile the book, list what is landed and run dbt."""
        warehouse = self.path / "warehouse"
        compile_book(load_book(self.path / "book"), warehouse / "book")
        assert scan(self.path / "landing", warehouse / "manifest").refused == ()
        if not (warehouse / "ledger").exists():
            write_extract(None, warehouse / "ledger")
        write_context(DataDir(self.path), now=self.now, also_period=None, version=self.version)
        (self.path / "published").mkdir(exist_ok=True)
        for stale in (self.path / "published").iterdir():
            stale.unlink()
        project = REPOSITORY / "dbt_project"
        command = [
            str(Path(sys.executable).with_name("dbt")),
            "--no-use-colors",
            "build",
            "--exclude-resource-type=unit_test",
            f"--project-dir={project}",
            f"--profiles-dir={project}",
            f"--target-path={warehouse / 'target'}",
            f"--log-path={warehouse / 'logs'}",
        ]
        environment = os.environ | {"M2C_DATA_DIR": str(self.path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query over the marts."""
        with duckdb.connect(
            self.path / "published" / ".marts.next.duckdb", read_only=True
        ) as marts:
            marts.execute("set TimeZone = 'UTC'")
            return [
                tuple(str(v) if isinstance(v, Decimal) else v for v in row)
                for row in marts.execute(sql).fetchall()
            ]

    def issue(self, statement_id: str, number: str, at: str) -> None:
        """Write the statement as it is in the marts to the ledger's extract, as issued."""
        ledger = self.path / "warehouse" / "ledger"
        marts = self.path / "published" / ".marts.next.duckdb"
        given = {
            "issued_statements": f"""
                select * replace (
                    '{number}' as statement_number, timestamptz '{at}+00' as issued_at,
                    date '2026-02-05' as issue_date, date '2026-03-05' as due_date
                ), 'S' as series, 1 as series_no, 'v1' as code_version from marts.statements""",
            "issued_inputs": f"""
                select * exclude (statement_id), '{number}' as statement_number
                from marts.statement_inputs""",
            "issued_lines": f"""
                select *, '{number}' as statement_number, null as cause,
                    row_number() over (order by line_key)::integer as line_no,
                    timestamptz '{at}+00' as issued_at from marts.statement_lines""",
        }
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            connection.execute(f"attach {self._quoted(marts)} as marts (read_only)")
            for name, select in given.items():
                target = self._quoted(ledger / f"{name}.parquet")
                connection.execute(f"create table {name} as from read_parquet({target})")
                connection.execute(
                    f"insert into {name} select {self._listed(connection, name)} "
                    f"from ({select} where statement_id = '{statement_id}')"
                )
                connection.execute(f"copy {name} to {target} (format parquet)")

    def dispute(self, scope: str, subject: str, state: str) -> None:
        """Say in the ledger's extract what is disputed or how that was decided."""
        target = self.path / "warehouse" / "ledger" / "charge_disputes.parquet"
        known = pq.read_table(target)
        said = {
            "scope": scope,
            "subject": subject,
            "state": state,
            "reason": "never ordered",
            "said_by": "anna",
            "recorded_at": self.now,
        }
        kept = [row for row in known.to_pylist() if row["subject"] != subject]
        pq.write_table(pa.Table.from_pylist([*kept, said], schema=known.schema), target)

    @staticmethod
    def _quoted(path: Path) -> str:
        return "'" + str(path).replace("'", "''") + "'"

    @staticmethod
    def _listed(connection: duckdb.DuckDBPyConnection, table: str) -> str:
        return ", ".join(row[0] for row in connection.execute(f"describe {table}").fetchall())
