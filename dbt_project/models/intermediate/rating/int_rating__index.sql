with charges as (

    select
        contract_id,
        term_no,
        period,
        plan_id,
        plan_version,
        plan_currency,
        plan_minor_units,
        charge_code,
        charge_model,
        unit,
        index_id,
        coalesce(multiplier, 1) as multiplier,
        coalesce(adder, 0) as adder
    from {{ ref('int_rating__segment_charges') }}
    where charge_model = 'index'

),

hours as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        window_start as hour_start,
        quantity
    from {{ ref('int_rating__window_usage') }}
    where window_minutes = 60 and quantity > 0

),

site_usage as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        usage,
        estimated_usage
    from {{ ref('int_rating__site_usage') }}

),

prices as (

    select
        index_id,
        hour_start,
        price,
        currency
    from {{ ref('int_rating__index_prices') }}

),

fx_spans as (

    select
        base,
        quote,
        valid_from,
        valid_to,
        rate
    from {{ ref('int_rating__fx_spans') }}

),

priced_hours as (

    select
        charges.contract_id,
        charges.term_no,
        charges.period,
        charges.charge_code,
        site_usage.site_id,
        charges.multiplier,
        charges.adder,
        hours.hour_start,
        hours.quantity,
        prices.price is null as lacks_price,
        prices.price is not null and prices.currency != charges.plan_currency and fx_spans.rate is null as lacks_rate,
        case
            when prices.currency = charges.plan_currency then cast(prices.price as decimal(38, 9))
            else {{ round_half_away(exact_product('prices.price', 6, 'fx_spans.rate', 12), 9) }}
        end as price
    from charges
    inner join site_usage
        on
            charges.contract_id = site_usage.contract_id
            and charges.term_no = site_usage.term_no
            and charges.period = site_usage.period
            and charges.charge_code = site_usage.charge_code
    inner join hours
        on
            charges.contract_id = hours.contract_id
            and charges.term_no = hours.term_no
            and charges.period = hours.period
            and site_usage.site_id = hours.site_id
    left join prices
        on
            charges.index_id = prices.index_id
            and hours.hour_start = prices.hour_start
    left join fx_spans
        on
            prices.currency = fx_spans.base
            and charges.plan_currency = fx_spans.quote
            and cast(hours.hour_start at time zone 'UTC' as date) >= fx_spans.valid_from
            and cast(hours.hour_start at time zone 'UTC' as date) < fx_spans.valid_to

),

-- kWh × (price × multiplier + adder) has 22 decimals and is 1000 times the amount.
thousandfold as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        sum(
            {{ exact_product(
                'quantity', 9,
                exact_product('price', 9, 'multiplier', 4) ~ ' + cast(adder as decimal(38, 13))', 13
            ) }}
        ) as thousandfold_amount,
        count(*) filter (where lacks_price) as hours_without_price,
        count(*) filter (where lacks_rate) as hours_without_rate,
        min(hour_start) filter (where lacks_price or lacks_rate) as first_lacking_at
    from priced_hours
    group by contract_id, term_no, period, charge_code, site_id

)

select
    charges.contract_id,
    charges.term_no,
    charges.period,
    charges.charge_code,
    charges.charge_model,
    'variable' as classification,
    site_usage.site_id,
    cast(null as varchar) as band,
    cast(null as varchar) as event_id,
    cast({{ round_half_away('site_usage.usage', 6) }} as decimal(18, 6)) as quantity,
    charges.unit,
    case
        when thousandfold.hours_without_price + thousandfold.hours_without_rate = 0
            then cast({{
                unscaled_decimal(
                    divide_nearest(
                        digits_integer('thousandfold.thousandfold_amount', 22),
                        '(' ~ scaled_integer('site_usage.usage', 12) ~ ' * 10000)'
                    ),
                    9
                )
            }} as decimal(38, 9))
    end as unit_price,
    case
        when thousandfold.hours_without_price + thousandfold.hours_without_rate = 0
            then {{ to_minor_unit(exact_product('thousandfold.thousandfold_amount', 22, '0.001', 3), 'charges.plan_minor_units') }}
    end as amount,
    cast({{ round_half_away('site_usage.estimated_usage', 6) }} as decimal(18, 6)) as estimated_quantity,
    case
        when thousandfold.hours_without_price > 0 then 'missing_index_price'
        when thousandfold.hours_without_rate > 0 then 'missing_fx_rate'
    end as problem,
    case
        when thousandfold.hours_without_price > 0 then thousandfold.hours_without_price
        when thousandfold.hours_without_rate > 0 then thousandfold.hours_without_rate
    end as problem_count,
    case
        when thousandfold.hours_without_price > 0
            then
                'Index ' || charges.index_id || ' has no price for ' || thousandfold.hours_without_price
                || ' hours with usage, the first ' || strftime(thousandfold.first_lacking_at at time zone 'UTC', '%Y-%m-%d %H:%M') || ' UTC'
        when thousandfold.hours_without_rate > 0
            then
                'No exchange rate of at most 7 days into ' || charges.plan_currency || ' for ' || thousandfold.hours_without_rate
                || ' hours of index ' || charges.index_id || ', the first '
                || strftime(thousandfold.first_lacking_at at time zone 'UTC', '%Y-%m-%d %H:%M') || ' UTC'
    end as problem_detail
from charges
inner join site_usage
    on
        charges.contract_id = site_usage.contract_id
        and charges.term_no = site_usage.term_no
        and charges.period = site_usage.period
        and charges.charge_code = site_usage.charge_code
inner join thousandfold
    on
        charges.contract_id = thousandfold.contract_id
        and charges.term_no = thousandfold.term_no
        and charges.period = thousandfold.period
        and charges.charge_code = thousandfold.charge_code
        and site_usage.site_id = thousandfold.site_id
