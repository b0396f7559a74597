with occupancy as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        machine_id,
        occupied_us
    from {{ ref('int_rating__occupancy') }}

),

paused as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        machine_id,
        paused_us
    from {{ ref('int_rating__paused') }}

)

select
    occupancy.contract_id,
    occupancy.term_no,
    occupancy.period,
    occupancy.site_id,
    occupancy.machine_id,
    occupancy.occupied_us,
    occupancy.occupied_us - coalesce(paused.paused_us, 0) as running_us
from occupancy
left join paused
    on
        occupancy.contract_id = paused.contract_id
        and occupancy.term_no = paused.term_no
        and occupancy.period = paused.period
        and occupancy.site_id = paused.site_id
        and occupancy.machine_id = paused.machine_id
