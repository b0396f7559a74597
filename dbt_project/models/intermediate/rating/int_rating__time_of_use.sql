with charges as (

    select
        contract_id,
        term_no,
        period,
        plan_id,
        plan_version,
        charge_code,
        charge_model,
        metric,
        unit,
        calendar_id,
        plan_minor_units
    from {{ ref('int_rating__segment_charges') }}
    where charge_model = 'time_of_use'

),

charge_sites as (

    select
        plan_id,
        version,
        code,
        site_id
    from {{ source('book', 'charge_sites') }}

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

band_days as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        calendar_id,
        band,
        quantity,
        estimated_quantity
    from {{ ref('int_rating__band_days') }}

),

units as (

    select
        unit,
        numerator,
        denominator
    from {{ ref('int_rating__units') }}

),

band_usage as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        calendar_id,
        band,
        cast(sum(quantity) as decimal(38, 9)) as quantity,
        cast(sum(estimated_quantity) as decimal(38, 9)) as estimated_quantity
    from band_days
    group by contract_id, term_no, period, site_id, metric, calendar_id, band

),

converted as (

    select
        charges.contract_id,
        charges.term_no,
        charges.period,
        charges.charge_code,
        charges.charge_model,
        charges.unit,
        charges.plan_minor_units,
        band_usage.site_id,
        band_usage.band,
        charge_rates.rate,
        {{ divide_round(exact_product('band_usage.quantity', 9, 'units.numerator', 0), 9, 'units.denominator', 0, 12) }} as usage,
        {{ divide_round(exact_product('band_usage.estimated_quantity', 9, 'units.numerator', 0), 9, 'units.denominator', 0, 12) }}
            as estimated_usage
    from charges
    inner join charge_sites
        on
            charges.plan_id = charge_sites.plan_id
            and charges.plan_version = charge_sites.version
            and charges.charge_code = charge_sites.code
    inner join band_usage
        on
            charges.contract_id = band_usage.contract_id
            and charges.term_no = band_usage.term_no
            and charges.period = band_usage.period
            and charges.metric = band_usage.metric
            and charges.calendar_id = band_usage.calendar_id
            and charge_sites.site_id = band_usage.site_id
    inner join charge_rates
        on
            charges.plan_id = charge_rates.plan_id
            and charges.plan_version = charge_rates.version
            and charges.charge_code = charge_rates.code
            and band_usage.band = charge_rates.band
    inner join units
        on charges.unit = units.unit

)

select
    contract_id,
    term_no,
    period,
    charge_code,
    charge_model,
    'variable' as classification,
    site_id,
    band,
    cast(null as string) as event_id,
    {{ line_quantity('usage') }} as quantity,
    unit,
    cast(rate as decimal(38, 9)) as unit_price,
    {{ line_amount(exact_product('usage', 12, 'rate', 9), 'plan_minor_units') }} as amount,
    {{ line_quantity('estimated_usage') }} as estimated_quantity,
    cast(null as string) as problem,
    cast(null as bigint) as problem_count,
    cast(null as string) as problem_detail
from converted
where usage > 0
