with charges as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        charge_model,
        unit,
        rate,
        plan_minor_units
    from {{ ref('int_rating__segment_charges') }}
    where charge_model = 'per_unit'

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
    cast(charges.rate as decimal(38, 9)) as unit_price,
    {{ line_amount(exact_product('site_usage.usage', 12, 'charges.rate', 9), 'charges.plan_minor_units') }} as amount,
    {{ line_quantity('site_usage.estimated_usage') }} as estimated_quantity,
    cast(null as string) as problem,
    cast(null as bigint) as problem_count,
    cast(null as string) as problem_detail
from charges
inner join site_usage
    on
        charges.contract_id = site_usage.contract_id
        and charges.term_no = site_usage.term_no
        and charges.period = site_usage.period
        and charges.charge_code = site_usage.charge_code
