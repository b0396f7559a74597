with charges as (

    select
        contract_id,
        term_no,
        period,
        plan_id,
        plan_version,
        charge_code,
        charge_model,
        window_minutes,
        rate,
        plan_minor_units
    from {{ ref('int_rating__segment_charges') }}
    where charge_model = 'demand'

),

charge_sites as (

    select
        plan_id,
        version,
        code,
        site_id
    from {{ source('book', 'charge_sites') }}

),

window_usage as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        window_minutes,
        quantity
    from {{ ref('int_rating__window_usage') }}

),

peaks as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        window_minutes,
        max(quantity) * cast({{ int_div(60, 'window_minutes') }} as decimal(2, 0)) as peak_kw
    from window_usage
    group by contract_id, term_no, period, site_id, window_minutes

)

select
    charges.contract_id,
    charges.term_no,
    charges.period,
    charges.charge_code,
    charges.charge_model,
    'variable' as classification,
    peaks.site_id,
    cast(null as string) as band,
    cast(null as string) as event_id,
    {{ line_quantity('peaks.peak_kw') }} as quantity,
    'kW' as unit,
    cast(charges.rate as decimal(38, 9)) as unit_price,
    {{ line_amount(exact_product('peaks.peak_kw', 9, 'charges.rate', 9), 'charges.plan_minor_units') }} as amount,
    cast(0 as decimal(18, 6)) as estimated_quantity,
    cast(null as string) as problem,
    cast(null as bigint) as problem_count,
    cast(null as string) as problem_detail
from charges
inner join charge_sites
    on
        charges.plan_id = charge_sites.plan_id
        and charges.plan_version = charge_sites.version
        and charges.charge_code = charge_sites.code
inner join peaks
    on
        charges.contract_id = peaks.contract_id
        and charges.term_no = peaks.term_no
        and charges.period = peaks.period
        and charges.window_minutes = peaks.window_minutes
        and charge_sites.site_id = peaks.site_id
where peaks.peak_kw > 0
