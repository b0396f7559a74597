{{ config(materialized='in_hand', meta={'phase': 'days'}) }}

-- The quarter-hours of the days in hand on the clocks of the book. Every offset of the years that the book knows is a multiple of 15
-- minutes.
{% set quarter_us = 900000000 %}
with days_in_hand as (

    select
        min({{ utc_day_start('usage_date') }}) as first_at,
        max({{ utc_day_start('usage_date + 1') }}) as last_at
    from {{ ref('int_metering__days_in_hand') }}

),

zone_spans as (

    select
        timezone,
        from_at,
        to_at,
        utc_offset_seconds * cast(1000000 as bigint) as offset_us
    from {{ source('book', 'zone_spans') }}

),

quarters as (

    select
        zone_spans.timezone,
        zone_spans.offset_us,
        {{ each_number(
            int_div(us('greatest(zone_spans.from_at, days_in_hand.first_at)'), quarter_us),
            int_div(us('least(zone_spans.to_at, days_in_hand.last_at)') ~ ' - 1', quarter_us)
        ) }} as quarter_no
    from zone_spans
    inner join days_in_hand
        on
            zone_spans.from_at < days_in_hand.last_at
            and zone_spans.to_at > days_in_hand.first_at

)

-- A local hour is told apart from the same hour lived twice by the instant at which it begins.
select
    timezone,
    quarter_no,
    {{ date_of_us('quarter_no * ' ~ quarter_us ~ ' + offset_us') }} as local_date,
    {{ instant_of_us(int_div('quarter_no * ' ~ quarter_us ~ ' + offset_us', 3600000000) ~ ' * 3600000000 - offset_us') }} as hour_start
from quarters
