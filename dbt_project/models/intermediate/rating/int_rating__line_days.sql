-- depends_on: {{ ref('int_metering__days') }}
{% set quarter_us = 900000000 %}
{% set day_us = 24 * 3600 * 1000000 %}
with charges as (

    select
        contract_id,
        term_no,
        period,
        plan_id,
        plan_version,
        charge_code,
        charge_model,
        metric,
        calendar_id,
        case charge_model when 'index' then 60 else window_minutes end as window_minutes
    from {{ ref('int_rating__segment_charges') }}
    where
        charge_model
        in ('per_unit', 'graduated', 'volume', 'package', 'stairstep', 'time_of_use', 'index', 'demand')

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
        billing_timezone,
        segment_start,
        segment_end
    from {{ ref('int_billing__segments') }}

),

zone_spans as (

    select
        timezone,
        {{ us('from_at') }} as from_us,
        {{ us('to_at') }} as to_us,
        utc_offset_seconds * cast(1000000 as bigint) as offset_us
    from {{ source('book', 'zone_spans') }}

),

usage_days as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        local_date,
        quantity
    from {{ ref('int_metering__usage_days') }}
    where contract_id is not null

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

pieces as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        {{ us('interval_start') }} as interval_start_us,
        {{ us('interval_end') }} - {{ us('interval_start') }} as interval_us,
        interval_quantity,
        {{ us('piece_start') }} as piece_start_us,
        {{ us('piece_end') }} as piece_end_us,
        quantity,
        is_estimated
    from {{ ref('int_metering__pieces') }}
    where contract_id is not null

),

window_usage as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        window_minutes,
        window_start,
        quantity
    from {{ ref('int_rating__window_usage') }}

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

placed_charges as (

    select
        charges.contract_id,
        charges.term_no,
        charges.period,
        charges.charge_code,
        charges.charge_model,
        charges.metric,
        charges.calendar_id,
        charges.window_minutes,
        charge_sites.site_id,
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

places as (

    select distinct
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        billing_timezone
    from placed_charges
    where charge_model not in ('index', 'demand')

),

-- Quarter-hours on the contracts' clocks: every offset is a multiple of 15 minutes.
zone_ranges as (

    select
        billing_timezone as timezone,
        {{ us('min(segment_start)') }} as first_us,
        {{ us('max(segment_end)') }} as last_us
    from segments
    group by billing_timezone

),

local_quarters as (

    select
        zone_spans.timezone,
        zone_spans.offset_us,
        {{ each_number(
            'greatest(zone_spans.from_us, zone_ranges.first_us) // ' ~ quarter_us,
            '(least(zone_spans.to_us, zone_ranges.last_us) - 1) // ' ~ quarter_us
        ) }} as quarter_no
    from zone_ranges
    inner join zone_spans
        on
            zone_ranges.timezone = zone_spans.timezone
            and zone_ranges.first_us < zone_spans.to_us
            and zone_ranges.last_us > zone_spans.from_us

),

quarter_dates as (

    select
        timezone,
        quarter_no,
        cast(make_timestamp(quarter_no * {{ quarter_us }} + offset_us) as date) as local_date
    from local_quarters

),

-- What reaches over the bounds of UTC days, cut at local midnights.
pieces_in_zones as (

    select
        pieces.contract_id,
        pieces.term_no,
        pieces.period,
        pieces.site_id,
        pieces.metric,
        places.billing_timezone,
        pieces.interval_start_us,
        pieces.interval_us,
        pieces.interval_quantity,
        pieces.piece_start_us,
        pieces.piece_end_us,
        pieces.quantity,
        pieces.is_estimated,
        zone_spans.offset_us,
        greatest(pieces.piece_start_us, zone_spans.from_us) as from_us,
        least(pieces.piece_end_us, zone_spans.to_us) as to_us
    from pieces
    inner join places
        on
            pieces.contract_id = places.contract_id
            and pieces.term_no = places.term_no
            and pieces.period = places.period
            and pieces.site_id = places.site_id
            and pieces.metric = places.metric
    inner join zone_spans
        on
            places.billing_timezone = zone_spans.timezone
            and pieces.piece_start_us < zone_spans.to_us
            and pieces.piece_end_us > zone_spans.from_us

),

piece_days as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        interval_start_us,
        interval_us,
        interval_quantity,
        piece_start_us,
        piece_end_us,
        quantity,
        is_estimated,
        offset_us,
        from_us,
        to_us,
        {{ each_number('(from_us + offset_us) // ' ~ day_us, '(to_us + offset_us - 1) // ' ~ day_us) }} as local_day
    from pieces_in_zones

),

day_parts as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        interval_start_us,
        interval_us,
        interval_quantity,
        piece_start_us,
        piece_end_us,
        quantity,
        is_estimated,
        cast(make_timestamp(local_day * {{ day_us }}) as date) as local_date,
        greatest(from_us, local_day * {{ day_us }} - offset_us) as part_start_us,
        least(to_us, (local_day + 1) * {{ day_us }} - offset_us) as part_end_us
    from piece_days

),

measured as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        local_date,
        quantity,
        false as is_estimated
    from usage_days
    union all
    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        local_date,
        case
            when part_start_us = piece_start_us and part_end_us = piece_end_us then quantity
            else
                {{ prorate('interval_quantity', 'part_end_us - interval_start_us', 'interval_us') }}
                - {{ prorate('interval_quantity', 'part_start_us - interval_start_us', 'interval_us') }}
        end as quantity,
        is_estimated
    from day_parts

),

day_usage as (

    select
        measured.contract_id,
        measured.term_no,
        measured.period,
        measured.site_id,
        measured.metric,
        measured.local_date,
        cast(sum(measured.quantity) as decimal(38, 9)) as quantity,
        cast(sum(case when measured.is_estimated then measured.quantity else 0 end) as decimal(38, 9)) as estimated_quantity
    from measured
    inner join places
        on
            measured.contract_id = places.contract_id
            and measured.term_no = places.term_no
            and measured.period = places.period
            and measured.site_id = places.site_id
            and measured.metric = places.metric
    group by
        measured.contract_id,
        measured.term_no,
        measured.period,
        measured.site_id,
        measured.metric,
        measured.local_date

),

-- The same parts, cut once more where bands change.
timed_places as (

    select distinct
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        calendar_id,
        timezone,
        billing_timezone
    from placed_charges
    where charge_model = 'time_of_use'

),

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
            and day_parts.part_start_us // {{ quarter_us }} = first_slots.slot_no
    inner join calendar_slots as last_slots
        on
            timed_places.calendar_id = last_slots.calendar_id
            and timed_places.timezone = last_slots.timezone
            and (day_parts.part_end_us - 1) // {{ quarter_us }} = last_slots.slot_no

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

banded_quarters as materialized (

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

),

band_usage as (

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

),

priced_hours as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        {{ utc_date('hour_start') }} as usage_date,
        quantity,
        -- Larger ones would outgrow the sum of a month at 25 decimals.
        case when abs(thousandfold) < 1000000000000 then thousandfold end as thousandfold
    from {{ ref('int_rating__priced_hours') }}

),

-- Numbered before they are dated, or the windows of a contract would meet every date.
windows as materialized (

    select
        placed_charges.contract_id,
        placed_charges.term_no,
        placed_charges.period,
        placed_charges.charge_code,
        placed_charges.site_id,
        placed_charges.billing_timezone,
        -- A window that the segment cuts is dated by its first quarter-hour inside.
        {{ us('greatest(window_usage.window_start, segments.segment_start)') }} // {{ quarter_us }} as quarter_no,
        window_usage.window_start,
        window_usage.quantity
    from placed_charges
    inner join window_usage
        on
            placed_charges.contract_id = window_usage.contract_id
            and placed_charges.term_no = window_usage.term_no
            and placed_charges.period = window_usage.period
            and placed_charges.site_id = window_usage.site_id
            and placed_charges.window_minutes = window_usage.window_minutes
    inner join segments
        on
            placed_charges.contract_id = segments.contract_id
            and placed_charges.term_no = segments.term_no
            and placed_charges.period = segments.period
    where placed_charges.charge_model = 'demand'

),

windowed as (

    select
        windows.contract_id,
        windows.term_no,
        windows.period,
        windows.charge_code,
        windows.site_id,
        quarter_dates.local_date,
        windows.window_start,
        windows.quantity
    from windows
    inner join quarter_dates
        on
            windows.billing_timezone = quarter_dates.timezone
            and windows.quarter_no = quarter_dates.quarter_no

)

select
    placed_charges.contract_id,
    placed_charges.term_no,
    placed_charges.period,
    placed_charges.charge_code,
    placed_charges.site_id,
    cast(null as varchar) as band,
    day_usage.local_date as usage_date,
    day_usage.quantity,
    day_usage.estimated_quantity,
    cast(null as decimal(38, 25)) as exact_amount,
    cast(null as timestamptz) as peak_start,
    cast(null as decimal(38, 9)) as peak_quantity
from placed_charges
inner join day_usage
    on
        placed_charges.contract_id = day_usage.contract_id
        and placed_charges.term_no = day_usage.term_no
        and placed_charges.period = day_usage.period
        and placed_charges.site_id = day_usage.site_id
        and placed_charges.metric = day_usage.metric
where placed_charges.charge_model not in ('time_of_use', 'index', 'demand')
union all
select
    placed_charges.contract_id,
    placed_charges.term_no,
    placed_charges.period,
    placed_charges.charge_code,
    placed_charges.site_id,
    band_usage.band,
    band_usage.local_date as usage_date,
    band_usage.quantity,
    band_usage.estimated_quantity,
    cast(null as decimal(38, 25)) as exact_amount,
    cast(null as timestamptz) as peak_start,
    cast(null as decimal(38, 9)) as peak_quantity
from placed_charges
inner join band_usage
    on
        placed_charges.contract_id = band_usage.contract_id
        and placed_charges.term_no = band_usage.term_no
        and placed_charges.period = band_usage.period
        and placed_charges.site_id = band_usage.site_id
        and placed_charges.metric = band_usage.metric
        and placed_charges.calendar_id = band_usage.calendar_id
where placed_charges.charge_model = 'time_of_use'
union all
-- A thousandth of the hours' sum; a day with an hour that lacks its price has none.
select
    contract_id,
    term_no,
    period,
    charge_code,
    site_id,
    cast(null as varchar) as band,
    usage_date,
    cast(sum(quantity) as decimal(38, 9)) as quantity,
    cast(null as decimal(38, 9)) as estimated_quantity,
    case when count(*) = count(thousandfold) then {{ exact_product('sum(thousandfold)', 22, '0.001', 3) }} end as exact_amount,
    cast(null as timestamptz) as peak_start,
    cast(null as decimal(38, 9)) as peak_quantity
from priced_hours
group by contract_id, term_no, period, charge_code, site_id, usage_date
union all
select
    contract_id,
    term_no,
    period,
    charge_code,
    site_id,
    cast(null as varchar) as band,
    local_date as usage_date,
    cast(sum(quantity) as decimal(38, 9)) as quantity,
    cast(null as decimal(38, 9)) as estimated_quantity,
    cast(null as decimal(38, 25)) as exact_amount,
    arg_max(window_start, (quantity, -{{ us('window_start') }})) as peak_start,
    max(quantity) as peak_quantity
from windowed
group by contract_id, term_no, period, charge_code, site_id, local_date
