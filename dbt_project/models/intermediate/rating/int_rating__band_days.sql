-- depends_on: {{ ref('int_metering__days') }}
{% set quarter_us = 900000000 %}
with charges as (

    select
        contract_id,
        term_no,
        period,
        plan_id,
        plan_version,
        charge_code,
        metric,
        calendar_id
    from {{ ref('int_rating__segment_charges') }}
    where charge_model = 'time_of_use'

),

charge_sites as (

    select
        plan_id,
        version,
        code,
        site_id
    from {{ source('book', 'charge_sites') }}

),

sites as (

    select
        site_id,
        timezone
    from {{ source('book', 'sites') }}

),

segments as (

    select
        contract_id,
        term_no,
        period,
        billing_timezone
    from {{ ref('int_billing__segments') }}

),

usage_quarters as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        quarter_no,
        quantity
    from {{ ref('int_metering__usage_quarters') }}

),

day_parts as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        local_date,
        interval_start_us,
        interval_us,
        interval_quantity,
        part_start_us,
        part_end_us,
        is_estimated
    from {{ ref('int_rating__day_parts') }}

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

quarter_dates as (

    select
        timezone,
        quarter_no,
        local_date
    from {{ ref('int_rating__quarter_dates') }}

),

timed_places as (

    select distinct
        charges.contract_id,
        charges.term_no,
        charges.period,
        charges.metric,
        charges.calendar_id,
        sites.site_id,
        sites.timezone,
        segments.billing_timezone
    from charges
    inner join charge_sites
        on
            charges.plan_id = charge_sites.plan_id
            and charges.plan_version = charge_sites.version
            and charges.charge_code = charge_sites.code
    inner join sites
        on charge_sites.site_id = sites.site_id
    inner join segments
        on
            charges.contract_id = segments.contract_id
            and charges.term_no = segments.term_no
            and charges.period = segments.period

),

-- Runs of slots of one band: a part needs cutting only where it crosses from one run into the next.
runs as (

    select
        calendar_id,
        timezone,
        run_no,
        min(band) as band,
        min(slot_no) * {{ quarter_us }} as run_start_us,
        (max(slot_no) + 1) * {{ quarter_us }} as run_end_us
    from calendar_slots
    group by calendar_id, timezone, run_no

),

spread as (

    select
        day_parts.contract_id,
        day_parts.term_no,
        day_parts.period,
        day_parts.site_id,
        day_parts.metric,
        day_parts.local_date,
        timed_places.calendar_id,
        timed_places.timezone,
        day_parts.interval_start_us,
        day_parts.interval_us,
        day_parts.interval_quantity,
        day_parts.part_start_us,
        day_parts.part_end_us,
        day_parts.is_estimated,
        {{ each_number('first_slots.run_no', 'last_slots.run_no') }} as run_no
    from day_parts
    inner join timed_places
        on
            day_parts.contract_id = timed_places.contract_id
            and day_parts.term_no = timed_places.term_no
            and day_parts.period = timed_places.period
            and day_parts.metric = timed_places.metric
            and day_parts.site_id = timed_places.site_id
    inner join calendar_slots as first_slots
        on
            timed_places.calendar_id = first_slots.calendar_id
            and timed_places.timezone = first_slots.timezone
            and {{ int_div('day_parts.part_start_us', quarter_us) }} = first_slots.slot_no
    inner join calendar_slots as last_slots
        on
            timed_places.calendar_id = last_slots.calendar_id
            and timed_places.timezone = last_slots.timezone
            and {{ int_div('day_parts.part_end_us - 1', quarter_us) }} = last_slots.slot_no

),

band_cuts as (

    select
        spread.contract_id,
        spread.term_no,
        spread.period,
        spread.site_id,
        spread.metric,
        spread.calendar_id,
        spread.local_date,
        runs.band,
        spread.interval_start_us,
        spread.interval_us,
        spread.interval_quantity,
        greatest(spread.part_start_us, runs.run_start_us) as cut_start_us,
        least(spread.part_end_us, runs.run_end_us) as cut_end_us,
        spread.is_estimated
    from spread
    inner join runs
        on
            spread.calendar_id = runs.calendar_id
            and spread.timezone = runs.timezone
            and spread.run_no = runs.run_no

),

-- One small table of band and date, or the quarters of a contract would meet those of every date.
clocks as (

    select distinct
        calendar_id,
        timezone,
        billing_timezone
    from timed_places

),

banded_quarters as {{ computed_once() }} (

    select
        clocks.calendar_id,
        clocks.timezone,
        clocks.billing_timezone,
        calendar_slots.slot_no,
        calendar_slots.band,
        quarter_dates.local_date
    from clocks
    inner join calendar_slots
        on
            clocks.calendar_id = calendar_slots.calendar_id
            and clocks.timezone = calendar_slots.timezone
    inner join quarter_dates
        on
            clocks.billing_timezone = quarter_dates.timezone
            and calendar_slots.slot_no = quarter_dates.quarter_no

),

banded as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        calendar_id,
        local_date,
        band,
        {{ prorate('interval_quantity', 'cut_end_us - interval_start_us', 'interval_us') }}
        - {{ prorate('interval_quantity', 'cut_start_us - interval_start_us', 'interval_us') }} as quantity,
        is_estimated
    from band_cuts
    union all
    select
        usage_quarters.contract_id,
        usage_quarters.term_no,
        usage_quarters.period,
        usage_quarters.site_id,
        usage_quarters.metric,
        timed_places.calendar_id,
        banded_quarters.local_date,
        banded_quarters.band,
        usage_quarters.quantity,
        false as is_estimated
    from usage_quarters
    inner join timed_places
        on
            usage_quarters.contract_id = timed_places.contract_id
            and usage_quarters.term_no = timed_places.term_no
            and usage_quarters.period = timed_places.period
            and usage_quarters.site_id = timed_places.site_id
            and usage_quarters.metric = timed_places.metric
    inner join banded_quarters
        on
            timed_places.calendar_id = banded_quarters.calendar_id
            and timed_places.timezone = banded_quarters.timezone
            and timed_places.billing_timezone = banded_quarters.billing_timezone
            and usage_quarters.quarter_no = banded_quarters.slot_no

)

select
    contract_id,
    term_no,
    period,
    site_id,
    metric,
    calendar_id,
    local_date,
    band,
    cast(sum(quantity) as decimal(38, 9)) as quantity,
    cast(sum(case when is_estimated then quantity else 0 end) as decimal(38, 9)) as estimated_quantity
from banded
group by contract_id, term_no, period, site_id, metric, calendar_id, local_date, band
