"""A published marts file with many statements of a size met in practice, to measure with."""

from __future__ import annotations

from pathlib import Path

import duckdb

from tests.integration.statements.marts import TABLES

LANGUAGES = ("en", "de", "nb-NO", "fi-FI", "id")

_FLEET = """
insert into build_info values ('b-0123456789abcdef', 'v1', '2026-11-03 06:00:00+00', null);
insert into sellers values ('nordlys', true, 'Nordlys Compute AS', 'Holtveien 5', null, '1412',
  'Sofiemyr', 'NO', 'NO 999 000 111 MVA', '999 000 111', 'billing@nordlys.example', null);
insert into seller_bank_accounts values
  ('nordlys', 'EUR', 'NO8099990000029', 'EXAMNOK1', '9999.00.00029', 'Example Bank ASA');
insert into sites values
  ('FI-HEL1', 'Helsinki 1', 'FI', 'nordics'), ('NO-OSL1', 'Oslo 1', 'NO', 'nordics');
insert into plan_versions values ('colo', 1, 'Plan colo, version 1, in EUR.' || chr(10)
  || '- Energy: EUR 0.0825 per kWh for the first 10,000 kWh a month at each site, then EUR 0.0790.'
  || chr(10) || '- Hosting: EUR 42.00 a month for each machine, in proportion to time.');
insert into tax_rules values (null, 'FI', null, 'EU-RC', 0, '2024-01-01', null,
  'Reverse charge: VAT to be accounted for by the recipient (Article 196, Directive 2006/112/EC)');
create temp table fleet as select 'P' || lpad(n::varchar, 4, '0') as p, n
  from range(1, $statements + 1) as t(n);
insert into payers select p, 'Customer ' || n || ' Oy', 'FI', 'EUR', 2, 'ap@c.example',
  'FI12345671', 'PO-' || n, ($languages)[1 + n % 5], 'Street ' || n, null, '00580', 'Helsinki',
  'nordlys', null from fleet;
insert into contracts select 'K-' || n, 1, p, 'Europe/Helsinki', '2025-01-01 00:00:00+00', null,
  null from fleet;
insert into statement_lines
select '2026-10', p || '/2026-10/all', 'consolidated', p, p, 'K-' || n, 'colo', 1,
  'b-0123456789abcdef', charge, model, class, site, 'nordics', band,
  'October 2026 ' || name || ' at ' || place || ' (' || site || ')'
    || coalesce(', tier ' || band, '') || ': ' || shown, quantity, unit, price, amount, 'EUR',
  'EU-RC', 0, 0, estimated,
  'K-' || n || '/2026-10/1/' || charge || '/' || site || '/' || coalesce(band, '-'), null
from fleet, (values ('FI-HEL1', 'Helsinki 1'), ('NO-OSL1', 'Oslo 1')) as s(site, place),
(values
  ('energy', 'Energy', 'graduated', 'variable', '1', 10000.000000, 'kWh', 0.0825, 825.00, 12.5,
    '10,000 kWh at EUR 0.0825'),
  ('energy', 'Energy', 'graduated', 'variable', '2', 4321.987654, 'kWh', 0.0790, 341.44, 5.4,
    '4,321.987654 kWh at EUR 0.079'),
  ('hosting', 'Hosting', 'recurring', 'recurring', null, 9.5, 'month', 42.00, 399.00, 0,
    '9.5 months at EUR 42.00'),
  ('rack', 'Rack space', 'recurring', 'recurring', null, 1, 'month', 640.00, 640.00, 0,
    '1 month at EUR 640.00'),
  ('net', 'Traffic', 'per_unit', 'variable', null, 12345.678, 'GB', 0.004, 49.38, 0,
    '12,345.678 GB at EUR 0.004'),
  ('peak', 'Peak power', 'demand', 'variable', null, 21.5, 'kW', 8.00, 172.00, 0,
    '21.5 kW at EUR 8.00')
) as l(charge, name, model, class, band, quantity, unit, price, amount, estimated, shown);
insert into statements
select '2026-10', statement_id, 'consolidated', payer_id, 'nordlys', 'EUR', count(*), sum(amount),
  sum(tax_amount), sum(amount) + sum(tax_amount), md5(statement_id) || md5(payer_id), 0, 0, 0.001,
  'auto', 'within the limit', true, 'automatic', '2026-11-03 05:00:00+00', 'issued',
  payer_id || '-0001', '2026-11-03', '2026-11-17', '2026-11-03 05:30:00+00', 'b-0123456789abcdef',
  sum(amount)
from statement_lines group by statement_id, payer_id;
insert into invoices
select statement_id, statement_number, period, payer_id, currency, total, 'ACCREC', 'x',
  'AUTHORISED', 'published', null, total, 0, 0, issue_date, due_date,
  'https://in.xero.com/' || md5(statement_id), null, '2026-11-03 06:00:00+00'
from statements;
insert into usage_daily
select if(m % 2 = 0, 'FI-HEL1', 'NO-OSL1'), 'srv-' || n || '-' || lpad(m::varchar, 3, '0'),
  'K-' || n, date '2026-10-01' + d::integer, 'energy',
  cast(20 + (m * 7 + d * 13 + n) % 17 as decimal(38, 9)) + 0.123456789,
  if((m + d) % 40 = 0, 1.5, 0), 'kWh'
from fleet, range(1, $machines + 1) as t(m), range(0, 31) as u(d);
"""


def make_fleet(path: Path, *, statements: int, machines: int) -> Path:
    """Write a marts file: issued statements of twelve lines at two sites, in turn in every
    language, each with so many machines and a month of days."""
    script = (
        _FLEET.replace("$statements", str(statements))
        .replace("$machines", str(machines))
        .replace("$languages", str(list(LANGUAGES)))
    )
    with duckdb.connect(str(path)) as marts:
        marts.execute("set timezone = 'UTC'")
        marts.execute(TABLES)
        marts.execute(script)
    return path
