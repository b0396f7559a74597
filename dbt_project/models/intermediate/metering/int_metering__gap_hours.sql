{{ config(materialized='in_hand', meta={'phase': 'spans'}) }}

-- Rule 5, `like_day`: the local clock hours of the gaps that interpolation leaves.
{% set hour_us = 3600000000 %}
with gaps as (

    select
        site_id,
        meter_id,
        machine_id,
        gap_start,
        gap_end,
        is_open,
        billing_timezone
    from {{ ref('int_metering__gaps_in_hand') }}

),

interpolated as (

    select
        site_id,
        meter_id,
        gap_start
    from {{ ref('int_metering__interpolated') }}

),

sites as (

    select
        site_id,
        timezone
    from {{ source('book', 'sites') }}
    where estimation = 'like_day'

),

zone_spans as (

    select
        timezone,
        from_at,
        to_at,
        utc_offset_seconds
    from {{ source('book', 'zone_spans') }}

),

landed as (

    select first_landed_at
    from {{ ref('int_metering__landed') }}

),

-- Nothing was measured inside a gap, so an hour later than 28 days (29, whatever the clocks did) after its beginning has no model;
-- nor has one before anything had landed.
left_over as (

    select
        gaps.site_id,
        gaps.meter_id,
        gaps.machine_id,
        gaps.billing_timezone,
        sites.timezone,
        gaps.is_open,
        gaps.gap_start,
        gaps.gap_end,
        greatest(gaps.gap_start, landed.first_landed_at) as modelled_from,
        least(gaps.gap_end, gaps.gap_start + interval 29 day) as modelled_to
    from gaps
    cross join landed
    inner join sites
        on gaps.site_id = sites.site_id
    left join interpolated
        on
            gaps.site_id = interpolated.site_id
            and gaps.meter_id = interpolated.meter_id
            and gaps.gap_start = interpolated.gap_start
    where interpolated.gap_start is null

),

of_one_offset as (

    select
        left_over.site_id,
        left_over.meter_id,
        left_over.machine_id,
        left_over.billing_timezone,
        left_over.timezone,
        left_over.is_open,
        left_over.gap_start,
        left_over.gap_end,
        {{ us('greatest(left_over.modelled_from, zone_spans.from_at)') }} as from_us,
        {{ us('least(left_over.modelled_to, zone_spans.to_at)') }} as to_us,
        zone_spans.utc_offset_seconds * cast(1000000 as bigint) as offset_us
    from left_over
    inner join zone_spans
        on
            left_over.timezone = zone_spans.timezone
            and left_over.modelled_from < zone_spans.to_at
            and left_over.modelled_to > zone_spans.from_at
            and left_over.modelled_from < left_over.modelled_to

),

-- local_hour counts the hours of the local clock since 1970, so that the same hour n days before is local_hour − 24 n.
hours as (

    select
        site_id,
        meter_id,
        machine_id,
        billing_timezone,
        timezone,
        is_open,
        gap_start,
        gap_end,
        from_us,
        to_us,
        offset_us,
        {{ each_number(int_div('from_us + offset_us', hour_us), int_div('to_us + offset_us - 1', hour_us)) }} as local_hour
    from of_one_offset

)

select
    site_id,
    meter_id,
    machine_id,
    billing_timezone,
    timezone,
    is_open,
    gap_start,
    gap_end,
    local_hour,
    {{ instant_of_us('greatest(from_us, local_hour * ' ~ hour_us ~ ' - offset_us)') }} as part_start,
    {{ instant_of_us('least(to_us, (local_hour + 1) * ' ~ hour_us ~ ' - offset_us)') }} as part_end
from hours
