with charges as (

    select
        contract_id,
        term_no,
        period,
        plan_id,
        plan_version,
        charge_code,
        calendar_id
    from {{ ref('int_rating__segment_charges') }}
    where charge_model = 'time_of_use'

),

segments as (

    select
        contract_id,
        term_no,
        period,
        segment_start,
        segment_end
    from {{ ref('int_billing__segments') }}

),

charge_sites as (

    select
        plan_id,
        version,
        code,
        site_id
    from {{ source('book', 'charge_sites') }}

),

places as (

    select
        contract_id,
        period,
        site_id
    from {{ ref('int_rating__places') }}

),

sites as (

    select
        site_id,
        timezone
    from {{ source('book', 'sites') }}

),

calendar_slots as (

    select
        calendar_id,
        timezone,
        slot_no,
        band,
        run_no
    from {{ ref('int_rating__calendar_slots') }}

),

runs as (

    select
        calendar_id,
        timezone,
        min(band) as band,
        {{ instant_of_us('min(slot_no) * 900000000') }} as run_start,
        {{ instant_of_us('(max(slot_no) + 1) * 900000000') }} as run_end
    from calendar_slots
    group by calendar_id, timezone, run_no

)

select
    charges.contract_id,
    charges.term_no,
    charges.period,
    charges.charge_code,
    charge_sites.site_id,
    runs.band,
    greatest(runs.run_start, segments.segment_start) as span_start,
    least(runs.run_end, segments.segment_end) as span_end
from charges
inner join segments
    on
        charges.contract_id = segments.contract_id
        and charges.term_no = segments.term_no
        and charges.period = segments.period
inner join charge_sites
    on
        charges.plan_id = charge_sites.plan_id
        and charges.plan_version = charge_sites.version
        and charges.charge_code = charge_sites.code
inner join places
    on
        charges.contract_id = places.contract_id
        and charges.period = places.period
        and charge_sites.site_id = places.site_id
inner join sites
    on charge_sites.site_id = sites.site_id
inner join runs
    on
        charges.calendar_id = runs.calendar_id
        and sites.timezone = runs.timezone
        and segments.segment_start < runs.run_end
        and segments.segment_end > runs.run_start
