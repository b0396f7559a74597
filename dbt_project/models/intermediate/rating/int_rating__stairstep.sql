with tiers as (

    select
        contract_id,
        term_no,
        period,
        plan_minor_units,
        charge_code,
        charge_model,
        tier_no,
        from_quantity,
        up_to,
        amount
    from {{ ref('int_rating__tiers') }}
    where charge_model = 'stairstep'

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

)

select
    tiers.contract_id,
    tiers.term_no,
    tiers.period,
    tiers.charge_code,
    tiers.charge_model,
    'variable' as classification,
    site_usage.site_id,
    cast(tiers.tier_no as string) as band,
    cast(null as string) as event_id,
    cast(1 as decimal(18, 6)) as quantity,
    'flat' as unit,
    cast({{ line_amount('tiers.amount', 'tiers.plan_minor_units') }} as decimal(38, 9)) as unit_price,
    {{ line_amount('tiers.amount', 'tiers.plan_minor_units') }} as amount,
    cast(0 as decimal(18, 6)) as estimated_quantity,
    cast(null as string) as problem,
    cast(null as bigint) as problem_count,
    cast(null as string) as problem_detail
from tiers
inner join site_usage
    on
        tiers.contract_id = site_usage.contract_id
        and tiers.term_no = site_usage.term_no
        and tiers.period = site_usage.period
        and tiers.charge_code = site_usage.charge_code
        and tiers.from_quantity < site_usage.usage
        and (tiers.up_to is null or tiers.up_to >= site_usage.usage)
