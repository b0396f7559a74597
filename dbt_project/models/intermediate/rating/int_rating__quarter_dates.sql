{% set quarter_us = 900000000 %}
with due as (

    select
        contract_id,
        period
    from {{ ref('int_rating__scope') }}
    where is_due

),

segments as (

    select
        all_segments.contract_id,
        all_segments.term_no,
        all_segments.period,
        all_segments.billing_timezone,
        all_segments.segment_start,
        all_segments.segment_end
    from {{ ref('int_billing__segments') }} as all_segments
    inner join due
        on
            all_segments.contract_id = due.contract_id
            and all_segments.period = due.period

),

zone_spans as (

    select
        timezone,
        {{ us('from_at') }} as from_us,
        {{ us('to_at') }} as to_us,
        utc_offset_seconds * cast(1000000 as bigint) as offset_us
    from {{ source('book', 'zone_spans') }}

),

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
            int_div('greatest(zone_spans.from_us, zone_ranges.first_us)', quarter_us),
            int_div('least(zone_spans.to_us, zone_ranges.last_us) - 1', quarter_us)
        ) }} as quarter_no
    from zone_ranges
    inner join zone_spans
        on
            zone_ranges.timezone = zone_spans.timezone
            and zone_ranges.first_us < zone_spans.to_us
            and zone_ranges.last_us > zone_spans.from_us

)

-- Every offset is a multiple of 15 minutes.
select
    timezone,
    quarter_no,
    {{ date_of_us('quarter_no * ' ~ quarter_us ~ ' + offset_us') }} as local_date
from local_quarters
