with charges as (

    select
        plan_id,
        version,
        code,
        model,
        description,
        metric,
        unit,
        per,
        rate,
        amount,
        prorate,
        size,
        price,
        included,
        calendar_id,
        index_id,
        multiplier,
        adder,
        window_minutes,
        markup_percent,
        itemise,
        percent,
        first_months,
        max_amount,
        bill_while_suspended,
        is_site_limited
    from {{ source('book', 'charges') }}

),

charge_tiers as (

    select
        plan_id,
        version,
        code,
        tier_no,
        from_quantity,
        up_to,
        rate,
        amount
    from {{ source('book', 'charge_tiers') }}

),

charge_rates as (

    select
        plan_id,
        version,
        code,
        band,
        rate
    from {{ source('book', 'charge_rates') }}

),

charge_bases as (

    select
        plan_id,
        version,
        code,
        base_code
    from {{ source('book', 'charge_bases') }}

),

charge_service_codes as (

    select
        plan_id,
        version,
        code,
        service_code
    from {{ source('book', 'charge_service_codes') }}

),

calendars as (

    select
        calendar_id,
        country_holidays,
        default_band
    from {{ source('book', 'calendars') }}

),

calendar_bands as (

    select
        calendar_id,
        band_no,
        band,
        day_type,
        from_minute,
        to_minute
    from {{ source('book', 'calendar_bands') }}

),

charge_calendars as (

    select distinct
        charges.plan_id,
        charges.version,
        calendars.calendar_id,
        calendars.country_holidays,
        calendars.default_band
    from charges
    inner join calendars
        on charges.calendar_id = calendars.calendar_id

),

parts as (

    select
        plan_id,
        version,
        {{ rows_digest([
            'code', 'model', 'description', 'metric', 'unit', 'per', 'rate', 'amount', 'prorate', 'size', 'price', 'included', 'calendar_id', 'index_id',
            'multiplier', 'adder', 'window_minutes', 'markup_percent', 'itemise', 'percent', 'first_months', 'max_amount', 'bill_while_suspended',
            'is_site_limited'
        ]) }} as digest
    from charges
    group by plan_id, version
    union all
    select
        plan_id,
        version,
        {{ rows_digest(["'tier'", 'code', 'tier_no', 'from_quantity', 'up_to', 'rate', 'amount']) }} as digest
    from charge_tiers
    group by plan_id, version
    union all
    select
        plan_id,
        version,
        {{ rows_digest(["'rate'", 'code', 'band', 'rate']) }} as digest
    from charge_rates
    group by plan_id, version
    union all
    select
        plan_id,
        version,
        {{ rows_digest(["'base'", 'code', 'base_code']) }} as digest
    from charge_bases
    group by plan_id, version
    union all
    select
        plan_id,
        version,
        {{ rows_digest(["'service'", 'code', 'service_code']) }} as digest
    from charge_service_codes
    group by plan_id, version
    union all
    select
        plan_id,
        version,
        {{ rows_digest(["'calendar'", 'calendar_id', 'country_holidays', 'default_band']) }} as digest
    from charge_calendars
    group by plan_id, version
    union all
    select
        charge_calendars.plan_id,
        charge_calendars.version,
        {{ rows_digest([
            "'band'", 'calendar_bands.calendar_id', 'calendar_bands.band_no', 'calendar_bands.band', 'calendar_bands.day_type',
            'calendar_bands.from_minute', 'calendar_bands.to_minute'
        ]) }} as digest
    from charge_calendars
    inner join calendar_bands
        on charge_calendars.calendar_id = calendar_bands.calendar_id
    group by charge_calendars.plan_id, charge_calendars.version

)

select
    plan_id,
    version,
    cast(sum(digest) as string) as digest
from parts
group by plan_id, version
