-- Step 50. Adjustments: what a line of an earlier month comes to now, less everything that was issued under its key before (the
-- rows of issued_before.parquet), for the same payer, currency and tax code. Both sides are shown.
create or replace table adjustment_lines as
with stated as (
    select
        *,
        -- adj/<month>/<the six parts of the original key>, and the payer where a line moved to another
        array_to_string(string_split(line_key, '/')[3:8], '/') as original_key
    from 'data/statement_lines.parquet'
    where adjusts_period is not null
),

issued as (
    select
        original_key,
        payer_id,
        currency,
        tax_code,
        sum(quantity) as quantity,
        sum(amount) as amount,
        sum(tax_amount) as tax_amount,
        string_agg(distinct statement_number, ', ' order by statement_number) as statement_numbers
    from 'data/issued_before.parquet'
    group by original_key, payer_id, currency, tax_code
)

select
    stated.line_key,
    stated.original_key,
    stated.contract_id,
    stated.period,
    stated.charge_code as code,
    stated.charge_model as model,
    stated.site_id,
    stated.unit,
    stated.payer_id,
    stated.currency,
    stated.tax_code,
    coalesce(issued.statement_numbers, 'nothing') as issued_on,
    coalesce(issued.quantity, 0) as issued_quantity,
    coalesce(now.quantity, 0) as quantity_now,
    coalesce(issued.amount, 0) as issued_amount,
    coalesce(now.amount, 0) as amount_now,
    coalesce(issued.tax_amount, 0) as issued_tax,
    coalesce(now.tax_amount, 0) as tax_now
from stated
left join issued
    on
        stated.original_key = issued.original_key
        and stated.payer_id = issued.payer_id
        and stated.currency = issued.currency
        and stated.tax_code = issued.tax_code
left join recomputed as now
    on
        stated.original_key = now.line_key
        and stated.payer_id = now.payer_id
        and stated.currency = now.currency
        and stated.tax_code = now.tax_code;

insert into recomputed by name
select
    adjustments.line_key,
    statement.statement_id,
    adjustments.contract_id,
    adjustments.period,
    adjustments.code,
    adjustments.model,
    adjustments.site_id,
    adjustments.payer_id,
    adjustments.currency,
    adjustments.quantity_now - adjustments.issued_quantity as quantity,
    adjustments.unit,
    adjustments.amount_now - adjustments.issued_amount as amount,
    adjustments.tax_code,
    adjustments.tax_now - adjustments.issued_tax as tax_amount
from adjustment_lines as adjustments
cross join 'data/statement.parquet' as statement;

select line_key, issued_on, issued_quantity, quantity_now, unit, issued_amount, amount_now, amount_now - issued_amount as adjustment
from adjustment_lines
order by line_key;
