with charges as (

    select
        contract_id,
        term_no,
        period,
        plan_id,
        plan_version,
        charge_code,
        charge_model,
        case charge_model when 'index' then 'energy' when 'demand' then 'energy' else metric end as metric,
        per,
        bill_while_suspended
    from {{ ref('int_rating__segment_charges') }}

),

charge_sites as (

    select
        plan_id,
        version,
        code,
        site_id
    from {{ source('book', 'charge_sites') }}

),

machine_usage as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        machine_id,
        quantity,
        estimated_quantity
    from {{ ref('int_rating__machine_usage') }}

),

running as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        machine_id,
        occupied_us,
        running_us
    from {{ ref('int_rating__running') }}

),

tiers as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        unit,
        tier_no,
        from_quantity,
        up_to
    from {{ ref('int_rating__tiers') }}
    where charge_model = 'graduated' and per = 'machine'

),

units as (

    select
        unit,
        numerator,
        denominator
    from {{ ref('int_rating__units') }}

),

placed_charges as (

    select
        charges.contract_id,
        charges.term_no,
        charges.period,
        charges.charge_code,
        charges.charge_model,
        charges.metric,
        charges.per,
        charges.per = 'machine' and not charges.bill_while_suspended as is_free_while_paused,
        charge_sites.site_id
    from charges
    inner join charge_sites
        on
            charges.plan_id = charge_sites.plan_id
            and charges.plan_version = charge_sites.version
            and charges.charge_code = charge_sites.code

),

metered as (

    select
        placed_charges.contract_id,
        placed_charges.term_no,
        placed_charges.period,
        placed_charges.charge_code,
        placed_charges.site_id,
        machine_usage.machine_id,
        machine_usage.quantity,
        machine_usage.estimated_quantity
    from placed_charges
    inner join machine_usage
        on
            placed_charges.contract_id = machine_usage.contract_id
            and placed_charges.term_no = machine_usage.term_no
            and placed_charges.period = machine_usage.period
            and placed_charges.site_id = machine_usage.site_id
            and placed_charges.metric = machine_usage.metric
    where
        placed_charges.charge_model
        in ('per_unit', 'graduated', 'volume', 'package', 'stairstep', 'time_of_use', 'index', 'demand')

),

in_unit_of_tiers as (

    select
        tiers.contract_id,
        tiers.term_no,
        tiers.period,
        tiers.charge_code,
        tiers.tier_no,
        tiers.from_quantity,
        tiers.up_to,
        metered.site_id,
        metered.machine_id,
        metered.quantity,
        metered.estimated_quantity,
        {{ divide_round(exact_product('metered.quantity', 9, 'units.numerator', 0), 9, 'units.denominator', 0, 12) }} as usage
    from tiers
    inner join metered
        on
            tiers.contract_id = metered.contract_id
            and tiers.term_no = metered.term_no
            and tiers.period = metered.period
            and tiers.charge_code = metered.charge_code
    inner join units
        on tiers.unit = units.unit

)

select
    metered.contract_id,
    metered.term_no,
    metered.period,
    metered.charge_code,
    metered.site_id,
    cast(null as string) as band,
    metered.machine_id,
    metered.quantity,
    metered.estimated_quantity,
    cast(null as decimal(38, 12)) as tier_quantity,
    cast(null as bigint) as occupied_us
from metered
union all
-- Tiers that every machine fills for itself: what of its usage fell into each.
select
    contract_id,
    term_no,
    period,
    charge_code,
    site_id,
    cast(tier_no as string) as band,
    machine_id,
    quantity,
    estimated_quantity,
    cast(least(usage, coalesce(up_to, usage)) - from_quantity as decimal(38, 12)) as tier_quantity,
    cast(null as bigint) as occupied_us
from in_unit_of_tiers
where usage > from_quantity
union all
select
    placed_charges.contract_id,
    placed_charges.term_no,
    placed_charges.period,
    placed_charges.charge_code,
    placed_charges.site_id,
    cast(null as string) as band,
    running.machine_id,
    cast(null as decimal(38, 9)) as quantity,
    cast(null as decimal(38, 9)) as estimated_quantity,
    cast(null as decimal(38, 12)) as tier_quantity,
    case when placed_charges.is_free_while_paused then running.running_us else running.occupied_us end as occupied_us
from placed_charges
inner join running
    on
        placed_charges.contract_id = running.contract_id
        and placed_charges.term_no = running.term_no
        and placed_charges.period = running.period
        and placed_charges.site_id = running.site_id
where
    placed_charges.charge_model = 'recurring'
    and placed_charges.per in ('site', 'machine')
    and (running.running_us > 0 or not coalesce(placed_charges.is_free_while_paused, false))
