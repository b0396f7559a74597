"""A published marts file as the warehouse makes it, with a few statements of every kind."""

from __future__ import annotations

TABLES = """
create table statements(period varchar, statement_id varchar, statement_kind varchar,
  payer_id varchar, seller_id varchar, currency varchar, lines integer, net decimal(18,2),
  tax decimal(18,2), total decimal(18,2), content_hash varchar, blocking_exceptions integer,
  warnings integer, missing_or_estimated_share decimal(9,4), decision varchar,
  decision_reason varchar, is_approved boolean, approved_by varchar, approved_at timestamptz,
  state varchar, statement_number varchar, issue_date date, due_date date,
  issued_at timestamptz, book_version varchar,
  projected_total decimal(18,2));
create table adjustments(period varchar, line_key varchar, adjusts_period varchar,
  original_key varchar, cause varchar);
create table statement_lines(period varchar, statement_id varchar, statement_kind varchar,
  payer_id varchar, customer_id varchar, contract_id varchar, plan_id varchar,
  plan_version integer, book_version varchar, charge_code varchar, charge_model varchar,
  classification varchar, site_id varchar, region varchar, band varchar, description varchar,
  quantity decimal(18,6), unit varchar, unit_price decimal(18,9), amount decimal(18,2),
  currency varchar, tax_code varchar, tax_rate_percent decimal(9,4), tax_amount decimal(18,2),
  estimated_quantity decimal(18,6), line_key varchar, adjusts_period varchar);
create table invoices(statement_id varchar, statement_number varchar, period varchar,
  payer_id varchar, currency varchar, total decimal(18,2), document_type varchar,
  xero_id varchar, xero_status varchar, publish_state varchar, problem varchar,
  amount_due decimal(18,2), amount_paid decimal(18,2), amount_credited decimal(18,2),
  issue_date date, due_date date, online_url varchar, last_payment_on date,
  observed_at timestamptz);
create table payers(payer_id varchar, name varchar, country varchar, currency varchar,
  minor_units integer, email varchar, tax_number varchar, po_number varchar, language varchar,
  address_line1 varchar, address_line2 varchar, postal_code varchar, city varchar,
  seller_id varchar, approval_owner varchar);
create table sellers(seller_id varchar, is_default boolean, legal_name varchar,
  address_line1 varchar, address_line2 varchar, postal_code varchar, city varchar,
  country varchar, tax_number varchar, registration_number varchar, email varchar,
  logo varchar);
create table seller_bank_accounts(seller_id varchar, currency varchar, iban varchar,
  bic varchar, account varchar, bank varchar);
create table sites(site_id varchar, name varchar, country varchar, region varchar);
create table contracts(contract_id varchar, term_no integer, payer_id varchar,
  billing_timezone varchar, valid_from_at timestamptz, valid_to_at timestamptz,
  po_number varchar);
create table tax_rules(site_jurisdiction varchar, payer_country varchar, charge_code varchar,
  tax_code varchar, rate_percent decimal(9,4), valid_from date, valid_to date, note varchar);
create table plan_versions(plan_id varchar, version integer, words varchar);
create table usage_daily(site_id varchar, machine_id varchar, contract_id varchar,
  usage_date date, metric varchar, metered_quantity decimal(38,9),
  estimated_quantity decimal(38,9), unit varchar);
create table billing_exceptions(exception_id varchar, kind varchar, severity varchar,
  period varchar, site_id varchar, machine_id varchar, contract_id varchar, payer_id varchar,
  statement_id varchar, occurrences bigint, quantity decimal(38,9), detail varchar,
  status varchar);
create table usage_completeness(site_id varchar, usage_date date,
  expected_interval_minutes integer, meters bigint, expected_hours decimal(38,9),
  received_hours decimal(38,9), expected_intervals bigint, received_intervals bigint,
  missing_hours decimal(38,9), missing_share decimal(9,6), last_reading_at timestamptz,
  status varchar);
create table disputes(scope varchar, subject varchar, state varchar, statement_id varchar);
create table build_info(book_version varchar, code_version varchar, built_at timestamptz,
  ledger_head varchar);
"""

FACTS = """
insert into build_info values ('b-0123456789abcdef', 'v0.1.0', '2026-11-03 06:00:00+00', null);
insert into sellers values ('nordlys', true, 'Nordlys Compute AS', 'Holtveien 5', null, '1412',
  'Sofiemyr', 'NO', 'NO 999 000 111 MVA', '999 000 111', 'billing@nordlys.example', null);
insert into seller_bank_accounts values
  ('nordlys', 'EUR', 'NO8099990000029', 'EXAMNOK1', '9999.00.00029', 'Example Bank ASA');
insert into payers select *, null from (values
  ('BOREALIS', 'Borealis Render Oy', 'FI', 'EUR', 2, 'laskut@borealis.example', 'FI12345671',
   'PO-77', 'en', 'Sörnäistenkatu 12', null, '00580', 'Helsinki', 'nordlys'),
  ('GOLF', 'ゴルフ計算株式会社', 'JP', 'JPY', 0, 'g@golf.example', null, null, null,
   'Main Street 1', null, null, 'Tokyo', 'nordlys'),
  ('CREDITED', 'Credited GmbH', 'DE', 'EUR', 2, 'c@c.example', 'DE123', null, 'de',
   'Hauptstraße 1', null, '10115', 'Berlin', null)) as v;
insert into sites values ('FI-HEL1', 'Helsinki 1', 'FI', 'nordics'),
  ('NO-OSL1', 'Oslo 1', 'NO', 'nordics');
insert into contracts values
  ('K-1', 1, 'BOREALIS', 'Europe/Helsinki', '2025-01-01 00:00:00+00', null, 'PO-4500012345'),
  ('K-2', 1, 'GOLF', 'Asia/Tokyo', '2025-01-01 00:00:00+00', null, null),
  ('K-3', 1, 'CREDITED', 'Europe/Berlin', '2025-01-01 00:00:00+00', null, null);
insert into tax_rules values
  ('FI', 'FI', null, 'FI-VAT', 25.5, '2024-01-01', null, null),
  (null, 'FI', null, 'FI-RC', 0, '2024-01-01', null,
   'Reverse charge: VAT to be accounted for by the recipient (Art. 196, Directive 2006/112/EC)'),
  (null, null, null, 'ZERO', 0, '2024-01-01', null, null);
insert into plan_versions values ('nordic-colo', 2, 'Plan nordic-colo, version 2, in EUR.'
  || chr(10)
  || '- Energy: EUR 0.0825 per kWh for the first 100,000 kWh a month at each site, then EUR 0.0790.'
  || chr(10) || '- Hosting: EUR 42.00 a month for each machine, by the second.');
insert into statements select *, null from (values
  ('2026-10', 'BOREALIS/2026-10/all', 'consolidated', 'BOREALIS', 'nordlys', 'EUR', 6, 11035.55,
   2142.00, 13177.55, repeat('ab12', 16), 0, 1, 0.0123, 'auto',
   'within the limit and close to the last three', true, 'automatic', '2026-11-03 05:00:00+00',
   'issued', 'BOREALIS-0007', '2026-11-03', '2026-11-17', '2026-11-03 05:30:00+00',
   'b-0123456789abcdef'),
  ('2026-10', 'GOLF/2026-10/all', 'consolidated', 'GOLF', 'nordlys', 'JPY', 2, 12316.00, null,
   12316.00, repeat('cd34', 16), 1, 0, 0.0, 'blocked', 'no tax rule for energy at Oslo 1', false,
   null, null, 'review', null, null, null, null, 'b-0123456789abcdef'),
  ('2026-10', 'CREDITED/2026-10/all', 'consolidated', 'CREDITED', null, 'EUR', 1, -235.00, 0.00,
   -235.00, repeat('ef56', 16), 0, 0, 0.0, 'needs_approval', 'adjustment above 30 %', true,
   'finance', '2026-11-03 05:00:00+00', 'issued', 'CREDITED-0001', '2026-11-03', '2026-12-03',
   '2026-11-03 05:30:00+00', 'b-0123456789abcdef'),
  ('2026-09', 'BOREALIS/2026-09/all', 'consolidated', 'BOREALIS', 'nordlys', 'EUR', 6, 9000.00,
   1800.00, 10800.00, repeat('0000', 16), 0, 0, 0.0, 'auto', 'within the limit', true, 'automatic',
   '2026-10-03 05:00:00+00', 'issued', 'BOREALIS-0006', '2026-10-03', '2026-10-17',
   '2026-10-03 05:30:00+00', 'b-0123456789abcdef')) as v;
update statements set projected_total = total;
insert into invoices values
  ('BOREALIS/2026-10/all', 'BOREALIS-0007', '2026-10', 'BOREALIS', 'EUR', 13177.55, 'ACCREC', 'x',
   'AUTHORISED', 'published', null, 13177.55, 0.00, 0.00, '2026-11-03', '2026-11-17',
   'https://in.xero.com/abcdef', null, '2026-11-03 06:00:00+00');
insert into statement_lines
select '2026-10', 'BOREALIS/2026-10/all', 'consolidated', 'BOREALIS', 'cust', 'K-1',
  'nordic-colo', 2, 'b-0123456789abcdef', v.* from (values
  ('energy', 'graduated', 'variable', 'FI-HEL1', 'nordics', '1',
   'October 2026 Energy at Helsinki 1 (FI-HEL1), tier 1: 100,000 kWh at EUR 0.0825',
   100000.000000, 'kWh', 0.082500000, 8250.00, 'EUR', 'FI-VAT', 25.5000, 2103.75, 123.400000,
   'K-1/2026-10/1/energy/FI-HEL1/1', null),
  ('energy', 'graduated', 'variable', 'FI-HEL1', 'nordics', '2',
   'October 2026 Energy at Helsinki 1 (FI-HEL1), tier 2: 1,898.765432 kWh at EUR 0.079',
   1898.765432, 'kWh', 0.079000000, 150.00, 'EUR', 'FI-VAT', 25.5000, 38.25, 2.000000,
   'K-1/2026-10/1/energy/FI-HEL1/2', null),
  ('energy', 'graduated', 'variable', 'NO-OSL1', 'nordics', '1',
   'October 2026 Energy at Oslo 1 (NO-OSL1), tier 1: 26,000 kWh at EUR 0.0825',
   26000.000000, 'kWh', 0.082500000, 2145.00, 'EUR', 'FI-RC', 0.0000, 0.00, 0.000000,
   'K-1/2026-10/1/energy/NO-OSL1/1', null),
  ('hosting', 'recurring', 'recurring', 'NO-OSL1', 'nordics', null,
   'October 2026 Hosting at Oslo 1 (NO-OSL1): 11.5 months at EUR 42.00',
   11.500000, 'month', 42.000000000, 483.00, 'EUR', 'FI-RC', 0.0000, 0.00, 0.000000,
   'K-1/2026-10/1/hosting/NO-OSL1/-', null),
  ('energy', 'graduated', 'adjustment', 'NO-OSL1', 'nordics', '1',
   'September 2026 Energy at Oslo 1 (NO-OSL1), tier 1: 1,204.5 kWh instead of 1,180.0 kWh',
   24.500000, 'kWh', 0.310000000, 7.60, 'EUR', 'FI-RC', 0.0000, 0.00, 0.000000,
   'adj/2026-10/K-1/2026-09/1/energy/NO-OSL1/1', '2026-09'),
  ('credit', 'credit', 'variable', null, null, null, 'Goodwill credit: late remote hands',
   1.000000, 'flat', -0.05, -0.05, 'EUR', 'FI-RC', 0.0000, 0.00, 0.000000,
   'K-1/2026-10/0/credit/-/gw-1', null)
) as v;
insert into statement_lines
select '2026-10', 'GOLF/2026-10/all', 'consolidated', 'GOLF', 'golf', 'K-2',
  'nordic-colo', 2, 'b-0123456789abcdef', v.* from (values
  ('energy', 'per_unit', 'variable', 'FI-HEL1', 'nordics', null,
   'October 2026 energy at Helsinki 1 (FI-HEL1): 754.37914 kWh at JPY 16.325',
   754.379140, 'kWh', 16.325000000, 12316.00, 'JPY', null, null, null, 0.000000,
   'K-2/2026-10/1/energy/FI-HEL1/-', null)
) as v;
insert into statement_lines
select '2026-10', 'CREDITED/2026-10/all', 'consolidated', 'CREDITED', 'c', 'K-3',
  null, null, 'b-0123456789abcdef', v.* from (values
  ('credit', 'credit', 'variable', null, null, null, 'SLA credit', 1.000000, 'flat', -235.00,
   -235.00, 'EUR', 'ZERO', 0.0000, 0.00, 0.000000, 'K-3/2026-10/0/credit/-/sla-1', null)
) as v;
insert into usage_daily
select site, 'srv-' || lpad(m::varchar, 3, '0'), 'K-1', date '2026-10-01' + d::integer, 'energy',
  case when d = 11 and m = 3 then 0
    else cast(90 + (m * 7 + d * 13) % 40 as decimal(38, 9)) + 0.123456789 end,
  case when d = 11 and m = 3 then 101.5 else 0 end, 'kWh'
from (values ('FI-HEL1'), ('NO-OSL1')) as s(site), range(1, 13) as t(m), range(0, 31) as u(d);
insert into usage_daily
select 'FI-HEL1', 'golf-1', 'K-2', date '2026-10-01' + d::integer, 'energy', 24.334, 0, 'kWh'
from range(0, 31) as u(d);
insert into billing_exceptions values
  ('e1', 'no_tax_rule', 'blocking', '2026-10', 'FI-HEL1', null, 'K-2', 'GOLF', 'GOLF/2026-10/all',
   1, null, 'No tax rule for energy at Helsinki 1 for a payer in JP.', 'open'),
  ('e2', 'missing_readings', 'warning', '2026-10', 'FI-HEL1', 'srv-003', 'K-1', null, null,
   1, 24.0, 'srv-003 at Helsinki 1 has no readings for 24 hours.', 'open');
"""
