{{ config(materialized='in_hand', meta={'phase': 'days and spans'}) }}

-- For which time it must be known who is responsible for a meter.
with days_in_hand as (

    select
        site_id,
        min({{ utc_day_start('usage_date') }}) as window_start,
        max({{ utc_day_start('usage_date + 1') }}) as window_end
    from {{ ref('int_metering__days_in_hand') }}
    group by site_id

),

placements as (

    select distinct
        site_id,
        meter_id
    from {{ source('book', 'placements') }}

),

validated_intervals as (

    select
        site_id,
        meter_id,
        interval_start,
        interval_end
    from {{ ref('int_metering__validated_intervals') }}
    where verdict = 'accepted'

),

gaps as (

    select
        site_id,
        meter_id,
        gap_start,
        gap_end
    from {{ ref('int_metering__gaps_in_hand') }}

),

landed as (

    select cut_from
    from {{ ref('int_metering__landed') }}

),

-- Of days in hand all meters of the site, of spans in hand the meters of these spans.
spans as (

    select
        validated_intervals.site_id,
        validated_intervals.meter_id,
        validated_intervals.interval_start as window_start,
        validated_intervals.interval_end as window_end
    from validated_intervals
    inner join {{ ref('int_metering__reaches') }} as reaches
        on validated_intervals.site_id = reaches.site_id
    union all
    select
        gaps.site_id,
        gaps.meter_id,
        greatest(gaps.gap_start, landed.cut_from) as window_start,
        gaps.gap_end as window_end
    from gaps
    cross join landed
    union all
    select
        placements.site_id,
        placements.meter_id,
        days_in_hand.window_start,
        days_in_hand.window_end
    from placements
    inner join days_in_hand
        on placements.site_id = days_in_hand.site_id

)

select
    site_id,
    meter_id,
    min(window_start) as window_start,
    max(window_end) as window_end
from spans
where window_start < window_end
group by site_id, meter_id
