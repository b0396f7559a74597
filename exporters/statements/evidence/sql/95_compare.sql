-- Step 95. The statement's lines as they are stated, held against what was recomputed above. `measured_percent` says how much of the
-- usage at the site a line is priced from was measured by readings; the rest was estimated as step 4 shows.
create or replace table compared as
with measured as (
    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        cast(round(100 * (nano - estimated_nano)::double / nano, 1) as decimal(4, 1)) as measured_percent
    from site_usage
    where nano > 0
),

here as (
    select recomputed.*
    from recomputed
    inner join 'data/statement.parquet' as statement
        on recomputed.statement_id = statement.statement_id and recomputed.period = statement.period
    -- what an earlier statement holds is not billed again
    where not exists (select 1 from 'data/issued_before.parquet' as before where before.line_key = recomputed.line_key)
)

select
    coalesce(stated.line_key, here.line_key) as line_key,
    stated.quantity as stated_quantity,
    here.quantity as recomputed_quantity,
    stated.amount as stated_amount,
    here.amount as recomputed_amount,
    stated.tax_amount as stated_tax,
    here.tax_amount as recomputed_tax,
    coalesce(stated.currency, here.currency) as currency,
    measured.measured_percent,
    coalesce(
        stated.quantity = here.quantity
        and stated.unit = here.unit
        and stated.amount = here.amount
        and stated.currency = here.currency
        and stated.payer_id = here.payer_id
        and stated.tax_code is not distinct from here.tax_code
        and stated.tax_amount is not distinct from here.tax_amount
        and (stated.unit_price is null or here.unit_price is null or stated.unit_price = here.unit_price)
        and (
            stated.adjusts_period is not null
            or (
                stated.estimated_quantity is not distinct from here.estimated_quantity
                and stated.tax_rate_percent is not distinct from here.tax_rate_percent
            )
        ), false
    ) as is_equal
from 'data/statement_lines.parquet' as stated
full outer join here
    on stated.line_key = here.line_key
left join priced_charges as charges
    on
        here.contract_id = charges.contract_id
        and here.term_no = charges.term_no
        and here.period = charges.period
        and here.code = charges.code
left join measured
    on
        here.contract_id = measured.contract_id
        and here.term_no = measured.term_no
        and here.period = measured.period
        and here.site_id = measured.site_id
        and charges.metric = measured.metric;

select
    line_key,
    stated_quantity,
    recomputed_quantity,
    stated_amount,
    recomputed_amount,
    stated_tax,
    recomputed_tax,
    currency,
    measured_percent,
    case when is_equal then 'equal' else 'NOT EQUAL' end as verdict
from compared
order by line_key;
