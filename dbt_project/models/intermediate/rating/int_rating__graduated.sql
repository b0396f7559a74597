with tiers as (

    select
        contract_id,
        term_no,
        period,
        plan_id,
        plan_version,
        plan_minor_units,
        charge_code,
        charge_model,
        metric,
        unit,
        per,
        tier_no,
        from_quantity,
        up_to,
        rate
    from {{ ref('int_rating__tiers') }}
    where charge_model = 'graduated'

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

machine_usage as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        machine_id,
        quantity
    from {{ ref('int_rating__machine_usage') }}

),

units as (

    select
        unit,
        numerator,
        denominator
    from {{ ref('int_rating__units') }}

),

running_usage as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        usage,
        sum(usage) over (
            partition by contract_id, term_no, period, charge_code
            order by site_id
            rows unbounded preceding
        ) as usage_so_far,
        sum(usage) over (partition by contract_id, term_no, period, charge_code) as contract_usage
    from site_usage

),

site_tiers as (

    select
        tiers.contract_id,
        tiers.term_no,
        tiers.period,
        tiers.charge_code,
        tiers.tier_no,
        site_usage.site_id,
        cast(least(site_usage.usage, coalesce(tiers.up_to, site_usage.usage)) - tiers.from_quantity as decimal(38, 12)) as quantity
    from tiers
    inner join site_usage
        on
            tiers.contract_id = site_usage.contract_id
            and tiers.term_no = site_usage.term_no
            and tiers.period = site_usage.period
            and tiers.charge_code = site_usage.charge_code
            and tiers.from_quantity < site_usage.usage
    where tiers.per = 'site'

),

machine_quantities as (

    select
        tiers.contract_id,
        tiers.term_no,
        tiers.period,
        tiers.charge_code,
        tiers.tier_no,
        tiers.from_quantity,
        tiers.up_to,
        machine_usage.site_id,
        {{ divide_round(exact_product('machine_usage.quantity', 9, 'units.numerator', 0), 9, 'units.denominator', 0, 12) }} as usage
    from tiers
    inner join machine_usage
        on
            tiers.contract_id = machine_usage.contract_id
            and tiers.term_no = machine_usage.term_no
            and tiers.period = machine_usage.period
            and tiers.metric = machine_usage.metric
    inner join site_usage
        on
            tiers.contract_id = site_usage.contract_id
            and tiers.term_no = site_usage.term_no
            and tiers.period = site_usage.period
            and tiers.charge_code = site_usage.charge_code
            and machine_usage.site_id = site_usage.site_id
    inner join units
        on tiers.unit = units.unit
    where tiers.per = 'machine'

),

machine_tiers as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        tier_no,
        site_id,
        cast(sum(least(usage, coalesce(up_to, usage)) - from_quantity) as decimal(38, 12)) as quantity
    from machine_quantities
    where usage > from_quantity
    group by contract_id, term_no, period, charge_code, tier_no, site_id

),

contract_tiers as (

    select
        tiers.contract_id,
        tiers.term_no,
        tiers.period,
        tiers.charge_code,
        tiers.tier_no,
        running_usage.site_id,
        running_usage.usage_so_far,
        running_usage.contract_usage,
        cast(
            least(running_usage.contract_usage, coalesce(tiers.up_to, running_usage.contract_usage)) - tiers.from_quantity
            as decimal(38, 12)
        ) as tier_quantity
    from tiers
    inner join running_usage
        on
            tiers.contract_id = running_usage.contract_id
            and tiers.term_no = running_usage.term_no
            and tiers.period = running_usage.period
            and tiers.charge_code = running_usage.charge_code
            and tiers.from_quantity < running_usage.contract_usage
    where tiers.per = 'contract'

),

-- The last site with usage takes what rounding left. A CASE over DECIMAL(38, 12) and DECIMAL(38, 6) would round it to 6 decimals in DuckDB.
handed_out as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        tier_no,
        site_id,
        case
            when usage_so_far = contract_usage then tier_quantity
            else {{ null_on_overflow(
                'least(tier_quantity, cast(' ~ share_of_quantity('tier_quantity', 'usage_so_far', 'contract_usage') ~ ' as decimal(38, 12)))',
                'decimal(38, 12)'
            ) }}
        end as quantity_so_far
    from contract_tiers

),

shared_tiers as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        tier_no,
        site_id,
        cast(
            quantity_so_far - lag(quantity_so_far, 1, 0) over (
                partition by contract_id, term_no, period, charge_code, tier_no
                order by site_id
            ) as decimal(38, 12)
        ) as quantity
    from handed_out

),

quantities as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        tier_no,
        site_id,
        quantity
    from site_tiers
    union all
    select
        contract_id,
        term_no,
        period,
        charge_code,
        tier_no,
        site_id,
        quantity
    from machine_tiers
    union all
    select
        contract_id,
        term_no,
        period,
        charge_code,
        tier_no,
        site_id,
        quantity
    from shared_tiers

)

select
    tiers.contract_id,
    tiers.term_no,
    tiers.period,
    tiers.charge_code,
    tiers.charge_model,
    'variable' as classification,
    quantities.site_id,
    cast(tiers.tier_no as string) as band,
    cast(null as string) as event_id,
    {{ line_quantity('quantities.quantity') }} as quantity,
    tiers.unit,
    cast(tiers.rate as decimal(38, 9)) as unit_price,
    {{ line_amount(exact_product('quantities.quantity', 12, 'tiers.rate', 9), 'tiers.plan_minor_units') }} as amount,
    {{ line_quantity(null_on_overflow(share_of_quantity('quantities.quantity', 'site_usage.estimated_usage', 'site_usage.usage'), 'decimal(38, 6)')) }}
        as estimated_quantity,
    cast(null as string) as problem,
    cast(null as bigint) as problem_count,
    cast(null as string) as problem_detail
from quantities
inner join tiers
    on
        quantities.contract_id = tiers.contract_id
        and quantities.term_no = tiers.term_no
        and quantities.period = tiers.period
        and quantities.charge_code = tiers.charge_code
        and quantities.tier_no = tiers.tier_no
inner join site_usage
    on
        quantities.contract_id = site_usage.contract_id
        and quantities.term_no = site_usage.term_no
        and quantities.period = site_usage.period
        and quantities.charge_code = site_usage.charge_code
        and quantities.site_id = site_usage.site_id
where quantities.quantity > 0 or quantities.quantity is null
