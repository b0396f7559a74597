with charges as (

    select
        contract_id,
        term_no,
        period,
        plan_id,
        plan_version,
        charge_code,
        charge_model,
        per,
        amount,
        prorate,
        segment_us,
        period_us,
        plan_minor_units
    from {{ ref('int_rating__segment_charges') }}
    where charge_model = 'recurring'

),

charge_sites as (

    select
        plan_id,
        version,
        code,
        site_id
    from {{ source('book', 'charge_sites') }}

),

occupancy as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        machine_id,
        occupied_us
    from {{ ref('int_rating__occupancy') }}

),

sites_held as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        count(*) as machines,
        sum(occupied_us) as occupied_us
    from occupancy
    group by contract_id, term_no, period, site_id

),

per_contract as (

    select
        charges.contract_id,
        charges.term_no,
        charges.period,
        charges.charge_code,
        charges.charge_model,
        cast(null as varchar) as site_id,
        charges.amount,
        charges.plan_minor_units,
        case charges.prorate when 'none' then 1 else charges.segment_us end as part,
        case charges.prorate when 'none' then 1 else charges.period_us end as whole
    from charges
    where charges.per = 'contract'

),

per_place as (

    select
        charges.contract_id,
        charges.term_no,
        charges.period,
        charges.charge_code,
        charges.charge_model,
        sites_held.site_id,
        charges.amount,
        charges.plan_minor_units,
        case
            when charges.per = 'site' and charges.prorate = 'none' then 1
            when charges.per = 'site' then charges.segment_us
            when charges.prorate = 'none' then sites_held.machines
            else sites_held.occupied_us
        end as part,
        case charges.prorate when 'none' then 1 else charges.period_us end as whole
    from charges
    inner join charge_sites
        on
            charges.plan_id = charge_sites.plan_id
            and charges.plan_version = charge_sites.version
            and charges.charge_code = charge_sites.code
    inner join sites_held
        on
            charges.contract_id = sites_held.contract_id
            and charges.term_no = sites_held.term_no
            and charges.period = sites_held.period
            and charge_sites.site_id = sites_held.site_id
    where charges.per in ('site', 'machine')

),

held as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        charge_model,
        site_id,
        amount,
        plan_minor_units,
        part,
        whole
    from per_contract
    union all
    select
        contract_id,
        term_no,
        period,
        charge_code,
        charge_model,
        site_id,
        amount,
        plan_minor_units,
        part,
        whole
    from per_place

)

select
    contract_id,
    term_no,
    period,
    charge_code,
    charge_model,
    'recurring' as classification,
    site_id,
    cast(null as varchar) as band,
    cast(null as varchar) as event_id,
    {{ line_quantity(divide_round('part', 0, 'whole', 0, 6)) }} as quantity,
    'month' as unit,
    cast(amount as decimal(38, 9)) as unit_price,
    {{ null_on_overflow(share_of_money('amount', 'part', 'whole', 'plan_minor_units')) }} as amount,
    cast(0 as decimal(18, 6)) as estimated_quantity,
    cast(null as varchar) as problem,
    cast(null as bigint) as problem_count,
    cast(null as varchar) as problem_detail
from held
