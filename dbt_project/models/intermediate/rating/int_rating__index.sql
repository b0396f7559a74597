with charges as (

    select
        contract_id,
        term_no,
        period,
        plan_currency,
        plan_minor_units,
        charge_code,
        charge_model,
        unit,
        index_id
    from {{ ref('int_rating__segment_charges') }}
    where charge_model = 'index'

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

priced_hours as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        hour_start,
        thousandfold,
        lacks_price,
        lacks_rate
    from {{ ref('int_rating__priced_hours') }}

),

-- A month may add up to more than 16 digits before the point, so whole numbers and what is below them are added apart.
added_up as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        cast(sum(floor(thousandfold)) as {{ whole_type() }}) as whole,
        sum(thousandfold - floor(thousandfold)) as below,
        count(*) filter (where lacks_price) as hours_without_price,
        count(*) filter (where lacks_rate) as hours_without_rate,
        count(*) filter (where thousandfold is null and not lacks_price and not lacks_rate) as hours_too_large,
        min(hour_start) filter (where lacks_price or lacks_rate) as first_lacking_at
    from priced_hours
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
        hours_too_large,
        first_lacking_at,
        whole + cast(floor(below) as {{ whole_type() }}) as whole,
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
        hours_too_large,
        first_lacking_at,
        whole < 0 as is_negative,
        case when whole < 0 and below > 0 then -whole - 1 else abs(whole) end as whole,
        case when whole < 0 and below > 0 then cast('10000000000000000000000' as {{ whole_type() }}) - below else below end as below
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
        magnitudes.hours_too_large,
        magnitudes.first_lacking_at,
        magnitudes.is_negative,
        magnitudes.whole,
        magnitudes.below,
        {{ scaled_integer('site_usage.usage', 12) }} * 10000 as divisor,
        magnitudes.whole * 100000000 + {{ whole_div('magnitudes.below', '100000000000000') }} as dividend
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
        hours_too_large,
        first_lacking_at,
        is_negative,
        whole,
        below,
        divisor,
        {{ whole_div('dividend', 'divisor') }} as quotient,
        dividend % divisor * 10000000 + {{ whole_div('below', '10000000') }} % 10000000 as dividend
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
        hours_too_large,
        first_lacking_at,
        is_negative,
        whole,
        divisor,
        quotient * 10000000 + {{ whole_div('dividend', 'divisor') }} as quotient,
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
        hours_too_large,
        first_lacking_at,
        case when is_negative then -1 else 1 end as sign,
        whole,
        quotient * 10000000 + {{ whole_div('dividend', 'divisor') }} + case when dividend % divisor * 2 >= divisor then 1 else 0 end as unit_price
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
    cast(null as string) as band,
    cast(null as string) as event_id,
    {{ line_quantity('site_usage.usage') }} as quantity,
    charges.unit,
    case
        when totals.hours_without_price + totals.hours_without_rate + totals.hours_too_large = 0
            then cast({{ unscaled_decimal('totals.sign * totals.unit_price', 9) }} as decimal(38, 9))
    end as unit_price,
    case
        when totals.hours_without_price + totals.hours_without_rate + totals.hours_too_large = 0
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
                || ' hours with usage, the first ' || {{ minute_in_words('totals.first_lacking_at') }} || ' UTC'
        when totals.hours_without_rate > 0
            then
                'No exchange rate of at most 7 days into ' || charges.plan_currency || ' for ' || totals.hours_without_rate
                || ' hours of index ' || charges.index_id || ', the first '
                || {{ minute_in_words('totals.first_lacking_at') }} || ' UTC'
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
