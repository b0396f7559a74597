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
        bill_while_suspended,
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

running as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        occupied_us,
        running_us
    from {{ ref('int_rating__running') }}

),

-- While a contract, or what it has at a site, is paused as a whole.
paused as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        paused_us
    from {{ ref('int_rating__paused') }}
    where machine_id is null

),

sites_held as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        count(*) as machines,
        count(*) filter (where running_us > 0) as running_machines,
        sum(occupied_us) as occupied_us,
        sum(running_us) as running_us
    from running
    group by contract_id, term_no, period, site_id

),

per_contract as (

    select
        charges.contract_id,
        charges.term_no,
        charges.period,
        charges.charge_code,
        charges.charge_model,
        cast(null as string) as site_id,
        charges.amount,
        charges.prorate,
        charges.plan_minor_units,
        charges.period_us,
        charges.segment_us - case when charges.bill_while_suspended then 0 else coalesce(paused.paused_us, 0) end as billed_us,
        cast(null as bigint) as billed_machines
    from charges
    left join paused
        on
            charges.contract_id = paused.contract_id
            and charges.term_no = paused.term_no
            and charges.period = paused.period
            and paused.site_id is null
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
        charges.prorate,
        charges.plan_minor_units,
        charges.period_us,
        case
            when charges.per = 'site' and charges.bill_while_suspended then charges.segment_us
            when charges.per = 'site' then charges.segment_us - coalesce(paused.paused_us, 0)
            when charges.bill_while_suspended then sites_held.occupied_us
            else sites_held.running_us
        end as billed_us,
        case
            when charges.per = 'site' then null
            when charges.bill_while_suspended then sites_held.machines
            else sites_held.running_machines
        end as billed_machines
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
    left join paused
        on
            sites_held.contract_id = paused.contract_id
            and sites_held.term_no = paused.term_no
            and sites_held.period = paused.period
            and sites_held.site_id = paused.site_id
    where charges.per in ('site', 'machine')

),

placed as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        charge_model,
        site_id,
        amount,
        prorate,
        plan_minor_units,
        period_us,
        billed_us,
        billed_machines
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
        prorate,
        plan_minor_units,
        period_us,
        billed_us,
        billed_machines
    from per_place

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
        case prorate when 'none' then coalesce(billed_machines, 1) else billed_us end as part,
        case prorate when 'none' then 1 else period_us end as whole
    from placed
    where billed_us > 0

)

select
    contract_id,
    term_no,
    period,
    charge_code,
    charge_model,
    'recurring' as classification,
    site_id,
    cast(null as string) as band,
    cast(null as string) as event_id,
    {{ line_quantity(divide_round('part', 0, 'whole', 0, 6)) }} as quantity,
    'month' as unit,
    cast(amount as decimal(38, 9)) as unit_price,
    {{ null_on_overflow(share_of_money('amount', 'part', 'whole', 'plan_minor_units'), 'decimal(18, 2)') }} as amount,
    cast(0 as decimal(18, 6)) as estimated_quantity,
    cast(null as string) as problem,
    cast(null as bigint) as problem_count,
    cast(null as string) as problem_detail
from held
