with charges as (

    select
        contract_id,
        term_no,
        period,
        plan_currency,
        charge_code,
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
        site_id
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
            and {{ utc_date('hours.hour_start') }} >= fx_spans.valid_from
            and {{ utc_date('hours.hour_start') }} < fx_spans.valid_to

)

-- kWh × (price × multiplier + adder) has 22 decimals and is 1000 times the amount.
select
    contract_id,
    term_no,
    period,
    charge_code,
    site_id,
    hour_start,
    quantity,
    lacks_price,
    lacks_rate,
    {{ null_on_overflow(exact_product(
        'quantity', 9,
        exact_product('price', 9, 'multiplier', 4) ~ ' + cast(adder as decimal(38, 13))', 13
    ), 'decimal(38, 22)') }} as thousandfold
from priced_hours
