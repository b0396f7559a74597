-- index: every UTC hour's kWh × (its price × multiplier + adder), prices being per MWh; the hours add up unrounded. A price that
-- landed beats the book's, of several the newest fetch; one in another currency is first converted, rounded to 9 decimals.
create or replace table index_hours as
with prices as (
    select index_id, hour_start, price, currency, 1 as choice, batch_id, ingested_at
    from 'data/landed_index_prices.parquet'
    union all
    select index_id, hour_start, price, currency, 2, '', timestamp '1970-01-01'
    from 'data/index_prices.parquet'
),

in_force as (
    select * from prices
    qualify row_number() over (partition by index_id, hour_start order by choice, ingested_at desc, batch_id desc) = 1
)

select
    charges.contract_id,
    charges.term_no,
    charges.period,
    charges.code,
    hours.site_id,
    hours.hour_no,
    hours.nano,
    case
        when in_force.currency = charges.plan_currency then cast(in_force.price as decimal(38, 9))
        else cast(round(cast(in_force.price as decimal(38, 6)) * exchange_rates.rate, 9) as decimal(38, 9))
    end as hour_price,
    cast(
        cast(hours.nano as decimal(38, 0)) * cast('0.000000001' as decimal(9, 9))
        * (
            cast(hour_price as decimal(38, 9)) * cast(coalesce(charges.multiplier, 1) as decimal(38, 4))
            + cast(coalesce(charges.adder, 0) as decimal(38, 13))
        ) as decimal(38, 22)
    ) as thousandfold
from priced_charges as charges
inner join 'data/charge_sites.parquet' as charge_sites
    on
        charges.plan_id = charge_sites.plan_id
        and charges.version = charge_sites.version
        and charges.code = charge_sites.code
inner join (
    select contract_id, term_no, period, site_id, quarter_no // 4 as hour_no, sum(nano) as nano
    from usage_quarters
    where metric = 'energy'
    group by all
) as hours
    on
        charges.contract_id = hours.contract_id
        and charges.term_no = hours.term_no
        and charges.period = hours.period
        and charge_sites.site_id = hours.site_id
left join in_force
    on charges.index_id = in_force.index_id and hours.hour_no * 3600000000 = epoch_us(in_force.hour_start)
left join exchange_rates
    on
        in_force.currency = exchange_rates.base
        and charges.plan_currency = exchange_rates.quote
        and cast(in_force.hour_start as date) >= exchange_rates.first_day
        and cast(in_force.hour_start as date) < exchange_rates.day_after
where charges.model = 'index' and hours.nano > 0;

insert into lines by name
with added_up as (
    select
        contract_id,
        term_no,
        period,
        code,
        site_id,
        cast(sum(thousandfold) as decimal(38, 22)) as thousandfold,
        -- the same in whole numbers of 10^-22
        cast(replace(cast(cast(sum(thousandfold) as decimal(38, 22)) as varchar), '.', '') as hugeint) as parts
    from index_hours
    group by contract_id, term_no, period, code, site_id
    having count(*) = count(thousandfold)
)

select
    charges.contract_id,
    charges.term_no,
    charges.period,
    charges.code,
    charges.model,
    'variable' as classification,
    used.site_id,
    round(used.usage, 6) as quantity,
    charges.unit,
    -- the exact amount ÷ the usage, rounded to 9 decimals
    cast(
        sign(added_up.parts) * ((2 * abs(added_up.parts) + used.pico * 10000) // (2 * used.pico * 10000)) as decimal(38, 0)
    ) * cast('0.000000001' as decimal(9, 9)) as unit_price,
    case charges.plan_minor_units
        when 0 then cast(round(added_up.thousandfold, -3) as decimal(38, 2)) * 0.001
        else cast(round(added_up.thousandfold, -1) as decimal(38, 2)) * 0.001
    end as plan_amount,
    round(used.estimated_usage, 6) as estimated_quantity
from priced_charges as charges
inner join charge_usage as used
    on
        charges.contract_id = used.contract_id
        and charges.term_no = used.term_no
        and charges.period = used.period
        and charges.code = used.code
inner join added_up
    on
        charges.contract_id = added_up.contract_id
        and charges.term_no = added_up.term_no
        and charges.period = added_up.period
        and charges.code = added_up.code
        and used.site_id = added_up.site_id;

select contract_id, period, code, site_id, band, quantity, unit, unit_price, plan_amount
from lines
where model = 'index'
order by all;
