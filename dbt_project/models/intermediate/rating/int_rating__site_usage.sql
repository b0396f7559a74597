with machine_usage as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        quantity,
        estimated_quantity
    from {{ ref('int_rating__machine_usage') }}

),

charges as (

    select
        contract_id,
        term_no,
        period,
        plan_id,
        plan_version,
        charge_code,
        metric,
        unit
    from {{ ref('int_rating__segment_charges') }}
    where charge_model in ('per_unit', 'graduated', 'volume', 'package', 'stairstep', 'index')

),

charge_sites as (

    select
        plan_id,
        version,
        code,
        site_id
    from {{ source('book', 'charge_sites') }}

),

units as (

    select
        unit,
        numerator,
        denominator
    from {{ ref('int_rating__units') }}

),

site_totals as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        sum(quantity) as quantity,
        sum(estimated_quantity) as estimated_quantity
    from machine_usage
    group by contract_id, term_no, period, site_id, metric

),

converted as (

    select
        charges.contract_id,
        charges.term_no,
        charges.period,
        charges.charge_code,
        site_totals.site_id,
        {{ divide_round(exact_product('site_totals.quantity', 9, 'units.numerator', 0), 9, 'units.denominator', 0, 12) }} as usage,
        {{ divide_round(exact_product('site_totals.estimated_quantity', 9, 'units.numerator', 0), 9, 'units.denominator', 0, 12) }}
            as estimated_usage
    from charges
    inner join charge_sites
        on
            charges.plan_id = charge_sites.plan_id
            and charges.plan_version = charge_sites.version
            and charges.charge_code = charge_sites.code
    inner join site_totals
        on
            charges.contract_id = site_totals.contract_id
            and charges.term_no = site_totals.term_no
            and charges.period = site_totals.period
            and charges.metric = site_totals.metric
            and charge_sites.site_id = site_totals.site_id
    inner join units
        on charges.unit = units.unit

)

select
    contract_id,
    term_no,
    period,
    charge_code,
    site_id,
    usage,
    estimated_usage
from converted
where usage > 0
