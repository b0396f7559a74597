{{ config(materialized='in_hand', meta={'phase': 'totals'}) }}

-- The local days that are totalled anew, on every clock of the book, between the instants at which they begin and end.
{% set day_us = 24 * 3600 * 1000000 %}
with zone_spans as (

    select
        timezone,
        from_at,
        to_at,
        utc_offset_seconds * cast(1000000 as bigint) as offset_us
    from {{ source('book', 'zone_spans') }}

),

touched_dates as (

    select
        min(usage_date) as first_date,
        max(usage_date) as last_date
    from {{ ref('int_metering__touched_dates') }}
    where not is_settled

),

bounds as (

    select
        {{ utc_day_start('first_date - 2') }} as first_at,
        {{ utc_day_start('last_date + 3') }} as last_at
    from touched_dates

),

of_one_offset as (

    select
        zone_spans.timezone,
        zone_spans.offset_us,
        {{ us('greatest(zone_spans.from_at, bounds.first_at)') }} as from_us,
        {{ us('least(zone_spans.to_at, bounds.last_at)') }} as to_us
    from zone_spans
    inner join bounds
        on
            zone_spans.from_at < bounds.last_at
            and zone_spans.to_at > bounds.first_at

),

day_parts as (

    select
        timezone,
        from_us,
        to_us,
        offset_us,
        {{ each_number(int_div('from_us + offset_us', day_us), int_div('to_us + offset_us - 1', day_us)) }} as local_day
    from of_one_offset

)

-- A day on which the clocks change lies in two spans of offset. The days at the ends are cut, but nobody asks for them.
select
    timezone,
    {{ date_of_us('local_day * ' ~ day_us) }} as local_date,
    {{ instant_of_us('min(greatest(from_us, local_day * ' ~ day_us ~ ' - offset_us))') }} as day_start,
    {{ instant_of_us('max(least(to_us, (local_day + 1) * ' ~ day_us ~ ' - offset_us))') }} as day_end
from day_parts
group by timezone, local_day
