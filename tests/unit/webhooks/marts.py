"""The marts that events are made with, as a file."""

from __future__ import annotations

from pathlib import Path

import duckdb

MARTS = """
create table webhook_endpoints(endpoint_id varchar, url varchar, secrets varchar, events varchar,
  customers varchar, payers varchar, description varchar, active boolean, private boolean);
create table contracts(contract_id varchar, customer_id varchar);
create table billing_exceptions(exception_id varchar, kind varchar, severity varchar,
  period varchar, site_id varchar, meter_id varchar, machine_id varchar, contract_id varchar,
  event_id varchar, payer_id varchar, statement_id varchar, day date, detail varchar,
  first_seen timestamptz, status varchar);
create table alerts(alert_key varchar, period varchar, contract_id varchar, customer_id varchar,
  measure varchar, unit varchar, threshold decimal(24,9), value decimal(38,9),
  projected_value decimal(38,9), measured_until timestamptz, detail varchar, is_reached boolean);
create table build_info(book_version varchar, code_version varchar, built_at timestamptz,
  ledger_head varchar);
insert into build_info values ('b', 'c', '2026-11-01T08:00:00Z', null);
"""


def make_marts(path: Path, *statements: str) -> Path:
    """Marts without rows but of build_info, and what the statements add."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(path)) as con:
        con.execute(MARTS)
        for statement in statements:
            con.execute(statement)
    return path
