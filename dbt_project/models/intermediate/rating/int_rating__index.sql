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
thousandfold_hours as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        hour_start,
        lacks_price,
        lacks_rate,
        {{ exact_product(
            'quantity', 9,
            exact_product('price', 9, 'multiplier', 4) ~ ' + cast(adder as decimal(38, 13))', 13
        ) }} as thousandfold
    from priced_hours

),

-- A month may add up to more than 16 digits before the point, so whole numbers and what is below them are added apart.
added_up as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        cast(sum(floor(thousandfold)) as hugeint) as whole,
        sum(thousandfold - floor(thousandfold)) as below,
        count(*) filter (where lacks_price) as hours_without_price,
        count(*) filter (where lacks_rate) as hours_without_rate,
        min(hour_start) filter (where lacks_price or lacks_rate) as first_lacking_at
    from thousandfold_hours
    group by contract_id, term_no, period, charge_code, site_id

),

carried as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        hours_without_price,
        hours_without_rate,
        first_lacking_at,
        whole + cast(floor(below) as hugeint) as whole,
        {{ digits_integer('below - floor(below)', 22) }} as below
    from added_up

),

-- The distance from 0: a whole number and so many of its 22nd decimals.
magnitudes as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        hours_without_price,
        hours_without_rate,
        first_lacking_at,
        whole < 0 as is_negative,
        case when whole < 0 and below > 0 then -whole - 1 else abs(whole) end as whole,
        case when whole < 0 and below > 0 then cast('10000000000000000000000' as hugeint) - below else below end as below
    from carried

),

-- The unit price is 10^18 times that ÷ usage in its 12th decimals: a long division, seven digits at a time.
first_digits as (

    select
        magnitudes.contract_id,
        magnitudes.term_no,
        magnitudes.period,
        magnitudes.charge_code,
        magnitudes.site_id,
        magnitudes.hours_without_price,
        magnitudes.hours_without_rate,
        magnitudes.first_lacking_at,
        magnitudes.is_negative,
        magnitudes.whole,
        magnitudes.below,
        {{ scaled_integer('site_usage.usage', 12) }} * 10000 as divisor,
        magnitudes.whole * 100000000 + magnitudes.below // 100000000000000 as dividend
    from magnitudes
    inner join site_usage
        on
            magnitudes.contract_id = site_usage.contract_id
            and magnitudes.term_no = site_usage.term_no
            and magnitudes.period = site_usage.period
            and magnitudes.charge_code = site_usage.charge_code
            and magnitudes.site_id = site_usage.site_id

),

second_digits as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        hours_without_price,
        hours_without_rate,
        first_lacking_at,
        is_negative,
        whole,
        below,
        divisor,
        dividend // divisor as quotient,
        dividend % divisor * 10000000 + below // 10000000 % 10000000 as dividend
    from first_digits

),

last_digits as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        hours_without_price,
        hours_without_rate,
        first_lacking_at,
        is_negative,
        whole,
        divisor,
        quotient * 10000000 + dividend // divisor as quotient,
        dividend % divisor * 10000000 + below % 10000000 as dividend
    from second_digits

),

totals as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        hours_without_price,
        hours_without_rate,
        first_lacking_at,
        case when is_negative then -1 else 1 end as sign,
        whole,
        quotient * 10000000 + dividend // divisor + case when dividend % divisor * 2 >= divisor then 1 else 0 end as unit_price
    from last_digits

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
    {{ line_quantity('site_usage.usage') }} as quantity,
    charges.unit,
    case
        when totals.hours_without_price + totals.hours_without_rate = 0
            then cast({{ unscaled_decimal('totals.sign * totals.unit_price', 9) }} as decimal(38, 9))
    end as unit_price,
    case
        when totals.hours_without_price + totals.hours_without_rate = 0
            then
                {{ line_amount(
                    unscaled_decimal('totals.sign * ' ~ thousandth_in_cents('totals.whole', 'charges.plan_minor_units'), 2),
                    'charges.plan_minor_units'
                ) }}
    end as amount,
    {{ line_quantity('site_usage.estimated_usage') }} as estimated_quantity,
    case
        when totals.hours_without_price > 0 then 'missing_index_price'
        when totals.hours_without_rate > 0 then 'missing_fx_rate'
    end as problem,
    case
        when totals.hours_without_price > 0 then totals.hours_without_price
        when totals.hours_without_rate > 0 then totals.hours_without_rate
    end as problem_count,
    case
        when totals.hours_without_price > 0
            then
                'Index ' || charges.index_id || ' has no price for ' || totals.hours_without_price
                || ' hours with usage, the first ' || strftime(totals.first_lacking_at at time zone 'UTC', '%Y-%m-%d %H:%M') || ' UTC'
        when totals.hours_without_rate > 0
            then
                'No exchange rate of at most 7 days into ' || charges.plan_currency || ' for ' || totals.hours_without_rate
                || ' hours of index ' || charges.index_id || ', the first '
                || strftime(totals.first_lacking_at at time zone 'UTC', '%Y-%m-%d %H:%M') || ' UTC'
    end as problem_detail
from charges
inner join site_usage
    on
        charges.contract_id = site_usage.contract_id
        and charges.term_no = site_usage.term_no
        and charges.period = site_usage.period
        and charges.charge_code = site_usage.charge_code
inner join totals
    on
        charges.contract_id = totals.contract_id
        and charges.term_no = totals.term_no
        and charges.period = totals.period
        and charges.charge_code = totals.charge_code
        and site_usage.site_id = totals.site_id
