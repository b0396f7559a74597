with tiers as (

    select
        contract_id,
        term_no,
        period,
        plan_minor_units,
        charge_code,
        charge_model,
        unit,
        per,
        tier_no,
        from_quantity,
        up_to,
        rate
    from {{ ref('int_rating__tiers') }}
    where charge_model = 'volume'

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

scoped_usage as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        usage,
        estimated_usage,
        sum(usage) over (partition by contract_id, term_no, period, charge_code) as contract_usage
    from site_usage

)

select
    tiers.contract_id,
    tiers.term_no,
    tiers.period,
    tiers.charge_code,
    tiers.charge_model,
    'variable' as classification,
    scoped_usage.site_id,
    cast(tiers.tier_no as string) as band,
    cast(null as string) as event_id,
    {{ line_quantity('scoped_usage.usage') }} as quantity,
    tiers.unit,
    cast(tiers.rate as decimal(38, 9)) as unit_price,
    {{ line_amount(exact_product('scoped_usage.usage', 12, 'tiers.rate', 9), 'tiers.plan_minor_units') }} as amount,
    {{ line_quantity('scoped_usage.estimated_usage') }} as estimated_quantity,
    cast(null as string) as problem,
    cast(null as bigint) as problem_count,
    cast(null as string) as problem_detail
from tiers
inner join scoped_usage
    on
        tiers.contract_id = scoped_usage.contract_id
        and tiers.term_no = scoped_usage.term_no
        and tiers.period = scoped_usage.period
        and tiers.charge_code = scoped_usage.charge_code
        and tiers.from_quantity < case tiers.per when 'contract' then scoped_usage.contract_usage else scoped_usage.usage end
        and (
            tiers.up_to is null
            or tiers.up_to >= case tiers.per when 'contract' then scoped_usage.contract_usage else scoped_usage.usage end
        )
