-- Step 90. The ledger's own words. Every fact of the ledger is hashed, and every hash covers the one before it: nobody can alter a
-- fact afterwards without altering all hashes after it. The hashes are computed again, and the lines are compared with the facts.
create or replace table ledger_checked as
select
    seq,
    table_name,
    row_id,
    fact,
    sha256(fact) = row_hash
    and sha256(
        seq || chr(10) || table_name || chr(10) || row_id || chr(10) || row_hash || chr(10) || prev_hash
    ) = hash as is_as_chained
from 'data/ledger_facts.parquet';

create or replace table lines_checked as
select
    stated.line_key,
    facts.seq is not null
    and json_extract_string(facts.fact, '$[1].amount') = stated.amount::varchar
    and json_extract_string(facts.fact, '$[1].tax_amount') = stated.tax_amount::varchar
    and cast(json_extract_string(facts.fact, '$[1].quantity') as decimal(18, 6)) = stated.quantity as is_as_issued
from 'data/statement_lines.parquet' as stated
left join ledger_checked as facts
    on facts.table_name = 'issued_lines' and json_extract_string(facts.fact, '$[1].line_key') = stated.line_key
cross join 'data/statement.parquet' as statement
where statement.state = 'issued';

-- The content hash that was approved and issued covers every column of the lines but the book's version: sha256 over one line of JSON
-- a statement line, in the order of their keys.
create or replace table content_checked as
select
    max(statement.content_hash) as content_hash,
    sha256(string_agg(cast(to_json([
        stated.period, stated.statement_id, stated.statement_kind, stated.payer_id, stated.customer_id, stated.contract_id, stated.plan_id,
        stated.plan_version::varchar, stated.charge_code, stated.charge_model, stated.classification, stated.site_id, stated.region,
        stated.band, stated.description, stated.quantity::varchar, stated.unit, stated.unit_price::varchar, stated.amount::varchar,
        stated.currency, stated.tax_code, stated.tax_rate_percent::varchar, stated.tax_amount::varchar,
        stated.estimated_quantity::varchar, stated.line_key, stated.adjusts_period
    ]) as varchar), chr(10) order by stated.line_key)) as hash_of_lines
from 'data/statement_lines.parquet' as stated
cross join 'data/statement.parquet' as statement;

select
    (select content_hash = hash_of_lines from content_checked) as content_hash_is_of_these_lines,
    (select count(*) from ledger_checked) as facts,
    (select count(*) from ledger_checked where not is_as_chained) as facts_not_as_chained,
    (select count(*) from lines_checked) as issued_lines,
    (select count(*) from lines_checked where not is_as_issued) as lines_not_as_in_the_ledger;

select
    seq,
    table_name,
    json_extract_string(fact, '$[1].at') as written_at,
    coalesce(
        json_extract_string(fact, '$[1].approved_by'),
        json_extract_string(fact, '$[1].decision'),
        json_extract_string(fact, '$[1].statement_number')
    ) as what,
    is_as_chained
from ledger_checked
where table_name != 'issued_lines'
order by seq;
