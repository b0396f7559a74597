with due as (

    select
        contract_id,
        period
    from {{ ref('int_rating__scope') }}
    where is_due

),

charges as (

    select distinct
        plan_id,
        plan_version,
        charge_code,
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
        min(all_segments.segment_start) as first_at,
        max(all_segments.segment_end) as last_at
    from {{ ref('int_billing__segments') }} as all_segments
    inner join due
        on
            all_segments.contract_id = due.contract_id
            and all_segments.period = due.period

),

zone_spans as (

    select
        timezone,
        from_at,
        to_at,
        utc_offset_seconds
    from {{ source('book', 'zone_spans') }}

),

calendars as (

    select
        calendar_id,
        country_holidays,
        default_band
    from {{ source('book', 'calendars') }}

),

calendar_bands as (

    select
        calendar_id,
        band_no,
        band,
        day_type,
        from_minute,
        to_minute
    from {{ source('book', 'calendar_bands') }}

),

holidays as (

    select distinct
        country,
        date as holiday
    from {{ source('book', 'holidays') }}

),

local_calendars as (

    select distinct
        charges.calendar_id,
        sites.timezone
    from charges
    inner join charge_sites
        on
            charges.plan_id = charge_sites.plan_id
            and charges.plan_version = charge_sites.version
            and charges.charge_code = charge_sites.code
    inner join sites
        on charge_sites.site_id = sites.site_id

),

timezones as (

    select distinct timezone
    from local_calendars

),

-- 900 s slots are numbered from 1970-01-01 UTC; a slot belongs to the span of constant offset that holds its start.
spans_in_range as (

    select
        timezones.timezone,
        zone_spans.utc_offset_seconds,
        {{ int_div(us('greatest(zone_spans.from_at, segments.first_at)'), 900000000) }} as first_slot,
        {{ int_div(us('least(zone_spans.to_at, segments.last_at)') ~ ' + 899999999', 900000000) }} as end_slot,
        zone_spans.from_at,
        zone_spans.to_at
    from timezones
    cross join segments
    inner join zone_spans
        on
            timezones.timezone = zone_spans.timezone
            and segments.last_at > zone_spans.from_at
            and segments.first_at < zone_spans.to_at

),

numbered_slots as (

    select
        timezone,
        utc_offset_seconds,
        from_at,
        to_at,
        {{ each_number('first_slot', 'end_slot - 1') }} as slot_no
    from spans_in_range

),

local_slots as (

    select
        timezone,
        slot_no,
        {{ int_div('slot_no * 900 + utc_offset_seconds', 86400) }} as local_day_no,
        {{ int_div('(slot_no * 900 + utc_offset_seconds) % 86400', 900) }} as local_quarter
    from numbered_slots
    where slot_no * 900000000 >= {{ us('from_at') }} and slot_no * 900000000 < {{ us('to_at') }}

),

day_types as (

    select
        days.day_type,
        days.weekday_no
    from (
        values ('mon', 0), ('tue', 1), ('wed', 2), ('thu', 3), ('fri', 4), ('sat', 5), ('sun', 6), ('holiday', 7)
    ) as days (day_type, weekday_no)

),

quarters as (

    select {{ each_number(0, 95) }} as quarter_no

),

-- The first band that matches a quarter of a day wins, else the calendar's default.
pattern as (

    select
        calendars.calendar_id,
        day_types.day_type,
        quarters.quarter_no,
        coalesce(min_by(calendar_bands.band, calendar_bands.band_no), calendars.default_band) as band
    from calendars
    cross join day_types
    cross join quarters
    left join calendar_bands
        on
            calendars.calendar_id = calendar_bands.calendar_id
            and day_types.day_type = calendar_bands.day_type
            and calendar_bands.from_minute <= quarters.quarter_no * 15
            and calendar_bands.to_minute > quarters.quarter_no * 15
    group by calendars.calendar_id, calendars.default_band, day_types.day_type, quarters.quarter_no

),

local_days as (

    select distinct
        local_calendars.calendar_id,
        local_calendars.timezone,
        local_slots.local_day_no,
        calendars.country_holidays,
        date '1970-01-01' + cast(local_slots.local_day_no as integer) as local_date,
        (local_slots.local_day_no + 3) % 7 as weekday_no
    from local_calendars
    inner join calendars
        on local_calendars.calendar_id = calendars.calendar_id
    inner join local_slots
        on local_calendars.timezone = local_slots.timezone

),

typed_days as (

    select
        local_days.calendar_id,
        local_days.timezone,
        local_days.local_day_no,
        case when holidays.holiday is not null then 'holiday' else day_types.day_type end as day_type
    from local_days
    inner join day_types
        on local_days.weekday_no = day_types.weekday_no
    left join holidays
        on
            local_days.country_holidays = holidays.country
            and local_days.local_date = holidays.holiday

),

banded as (

    select
        typed_days.calendar_id,
        typed_days.timezone,
        local_slots.slot_no,
        pattern.band
    from typed_days
    inner join local_slots
        on
            typed_days.timezone = local_slots.timezone
            and typed_days.local_day_no = local_slots.local_day_no
    inner join pattern
        on
            typed_days.calendar_id = pattern.calendar_id
            and typed_days.day_type = pattern.day_type
            and local_slots.local_quarter = pattern.quarter_no

),

changes as (

    select
        calendar_id,
        timezone,
        slot_no,
        band,
        case
            when band = lag(band) over (partition by calendar_id, timezone order by slot_no) then 0
            else 1
        end as is_change
    from banded

)

select
    calendar_id,
    timezone,
    slot_no,
    band,
    cast(sum(is_change) over (
        partition by calendar_id, timezone
        order by slot_no
        rows unbounded preceding
    ) as bigint) as run_no
from changes
