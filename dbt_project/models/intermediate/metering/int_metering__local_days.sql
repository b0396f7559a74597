-- The days of every timezone of the book that readings reach, between the instants at which they begin and end.
{% set day_us = 24 * 3600 * 1000000 %}
with zone_spans as (

    select
        timezone,
        from_at,
        to_at,
        utc_offset_seconds
    from {{ source('book', 'zone_spans') }}

),

bounds as (

    select
        spans_from,
        spans_to
    from {{ ref('int_metering__range') }}

),

of_one_offset as (

    select
        zone_spans.timezone,
        {{ us('greatest(zone_spans.from_at, bounds.spans_from)') }} as from_us,
        {{ us('least(zone_spans.to_at, bounds.spans_to)') }} as to_us,
        zone_spans.utc_offset_seconds * cast(1000000 as bigint) as offset_us
    from zone_spans
    inner join bounds
        on
            zone_spans.from_at < bounds.spans_to
            and zone_spans.to_at > bounds.spans_from

),

day_parts as (

    select
        timezone,
        from_us,
        to_us,
        offset_us,
        {{ each_number('(from_us + offset_us) // ' ~ day_us, '(to_us + offset_us - 1) // ' ~ day_us) }} as local_day
    from of_one_offset

)

-- A day on which the clocks change lies in two spans of offset.
select
    timezone,
    cast(make_timestamp(local_day * {{ day_us }}) as date) as local_date,
    make_timestamptz(min(greatest(from_us, local_day * {{ day_us }} - offset_us))) as day_start,
    make_timestamptz(max(least(to_us, (local_day + 1) * {{ day_us }} - offset_us))) as day_end
from day_parts
group by timezone, local_day
