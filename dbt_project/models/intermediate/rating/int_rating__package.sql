with charges as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        charge_model,
        size,
        price,
        included,
        plan_minor_units
    from {{ ref('int_rating__segment_charges') }}
    where charge_model = 'package'

),

site_usage as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        usage
    from {{ ref('int_rating__site_usage') }}

),

beyond_included as (

    select
        charges.contract_id,
        charges.term_no,
        charges.period,
        charges.charge_code,
        charges.charge_model,
        charges.price,
        charges.plan_minor_units,
        site_usage.site_id,
        {{ scaled_integer('site_usage.usage', 12) }} - {{ scaled_integer('coalesce(charges.included, 0)', 12) }} as beyond,
        {{ scaled_integer('charges.size', 12) }} as package_size
    from charges
    inner join site_usage
        on
            charges.contract_id = site_usage.contract_id
            and charges.term_no = site_usage.term_no
            and charges.period = site_usage.period
            and charges.charge_code = site_usage.charge_code

),

packages as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        charge_model,
        price,
        plan_minor_units,
        site_id,
        {{ whole_div('beyond + package_size - 1', 'package_size') }} as packages
    from beyond_included
    where beyond > 0

)

select
    contract_id,
    term_no,
    period,
    charge_code,
    charge_model,
    'variable' as classification,
    site_id,
    cast(null as string) as band,
    cast(null as string) as event_id,
    {{ line_quantity('packages') }} as quantity,
    'package' as unit,
    cast(price as decimal(38, 9)) as unit_price,
    {{ line_amount(exact_product('packages', 0, 'price', 9), 'plan_minor_units') }} as amount,
    cast(0 as decimal(18, 6)) as estimated_quantity,
    cast(null as string) as problem,
    cast(null as bigint) as problem_count,
    cast(null as string) as problem_detail
from packages
