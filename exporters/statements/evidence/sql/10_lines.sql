-- Step 10. The charges of each contract's plan version, and the usage that metered ones are priced from: usage of the charge's
-- metric at each of its sites, in the charge's unit, rounded once to 12 decimals (whole numbers of 10^-12: the column pico).
create or replace table priced_charges as
select
    segments.contract_id,
    segments.term_no,
    segments.period,
    segments.plan_currency,
    segments.plan_minor_units,
    segments.segment_us,
    segments.month_us,
    segments.contract_month,
    charges.*
from segments
inner join 'data/charges.parquet' as charges
    on segments.plan_id = charges.plan_id and segments.plan_version = charges.version
where segments.has_charges;

create or replace table charge_usage as
select
    charges.contract_id,
    charges.term_no,
    charges.period,
    charges.code,
    site_usage.site_id,
    (2 * site_usage.nano * 1000 * units.denominator + units.numerator) // (2 * units.numerator) as pico,
    (2 * site_usage.estimated_nano * 1000 * units.denominator + units.numerator) // (2 * units.numerator) as estimated_pico,
    cast(pico as decimal(38, 0)) * cast('0.000000000001' as decimal(12, 12)) as usage,
    cast(estimated_pico as decimal(38, 0)) * cast('0.000000000001' as decimal(12, 12)) as estimated_usage
from priced_charges as charges
inner join 'data/charge_sites.parquet' as charge_sites
    on
        charges.plan_id = charge_sites.plan_id
        and charges.version = charge_sites.version
        and charges.code = charge_sites.code
inner join site_usage
    on
        charges.contract_id = site_usage.contract_id
        and charges.term_no = site_usage.term_no
        and charges.period = site_usage.period
        and charges.metric = site_usage.metric
        and charge_sites.site_id = site_usage.site_id
inner join 'data/units.parquet' as units
    on charges.unit = units.unit and units.metric = units.usage_metric
where pico > 0;

-- Exchange rates: the newest on or before a day, at most 7 days old; on one date a pair as given goes before its inverse.
create or replace table exchange_rates as
with both_ways as (
    select date, base, quote, cast(rate as decimal(38, 12)) as rate, 1 as choice
    from 'data/fx_rates.parquet'
    union all
    -- 1 ÷ rate, rounded to 12 decimals
    select
        date,
        quote,
        base,
        cast(
            (2 * 1000000000000000000000000::hugeint + cast(rate * 1000000000000 as hugeint)) // (2 * cast(rate * 1000000000000 as hugeint))
            as decimal(38, 0)
        ) * cast('0.000000000001' as decimal(12, 12)),
        2
    from 'data/fx_rates.parquet'
),

one_a_day as (
    select date, base, quote, arg_min(rate, choice) as rate
    from both_ways
    group by date, base, quote
)

select
    base,
    quote,
    cast(rate as decimal(38, 12)) as rate,
    date as first_day,
    least(lead(date, 1, date '9999-12-31') over (partition by base, quote order by date), date + 8) as day_after
from one_a_day;

-- What the steps below fill: every line in the plan's currency.
create or replace table lines (
    contract_id varchar,
    term_no integer,
    period varchar,
    code varchar,
    model varchar,
    classification varchar,
    site_id varchar,
    band varchar,
    event_id varchar,
    quantity decimal(18, 6),
    unit varchar,
    unit_price decimal(38, 9),
    plan_amount decimal(18, 2),
    estimated_quantity decimal(18, 6)
);

select contract_id, period, code, model, words as rule
from priced_charges
order by contract_id, period, term_no, charge_no;
