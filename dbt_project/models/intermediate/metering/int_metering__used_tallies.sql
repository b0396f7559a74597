{{ config(materialized='in_hand', meta={'phase': 'days'}) }}

-- The used rows of a meter's day at one look, and whether it is plain: intervals inside the day that no check of rule 4 can object
-- to. On most days most meters are, and their intervals are accepted without being looked at one by one.
with used_readings as (

    select
        meter_day_no,
        is_interval,
        interval_start,
        interval_end,
        quantity,
        {{ us('interval_start') }} as start_us,
        {{ us('interval_end') }} - {{ us('interval_start') }} as span_us
    from {{ ref('int_metering__used_readings') }}

),

meter_days as (

    select distinct
        meter_day_no,
        site_id,
        usage_date,
        meter_id,
        usage_metric
    from {{ ref('int_metering__series') }}

),

rated_placements as (

    select
        site_id,
        meter_id,
        valid_from_at,
        valid_to_at,
        rated_kw
    from {{ ref('int_metering__rated_placements') }}

),

visitors as (

    select distinct
        site_id,
        meter_id,
        metric
    from {{ ref('int_metering__visitors') }}

),

tallies as (

    select
        meter_day_no,
        bool_and(is_interval) as is_interval,
        count(*) as rows_used,
        min(interval_start) as first_start,
        max(interval_start) as last_start,
        max(interval_end) as last_end,
        min(span_us) as least_span_us,
        max(span_us) as greatest_span_us,
        min(start_us % span_us) as least_phase_us,
        max(start_us % span_us) as greatest_phase_us,
        min(quantity) as least_quantity,
        max(quantity) as greatest_quantity,
        sum(quantity) as quantity,
        sum(span_us) as covered_us
    from used_readings
    group by meter_day_no

)

-- Intervals of one length on one grid, with different keys, cannot overlap. Of one length, the greatest is a spike if any is.
select
    meter_days.meter_day_no,
    meter_days.site_id,
    meter_days.usage_date,
    meter_days.meter_id,
    meter_days.usage_metric as metric,
    tallies.is_interval,
    tallies.rows_used,
    tallies.first_start,
    tallies.last_start,
    tallies.last_end,
    tallies.quantity,
    cast(tallies.covered_us as bigint) as covered_us,
    900000000 % tallies.greatest_span_us = 0
    and tallies.least_span_us = tallies.greatest_span_us
    and tallies.least_phase_us = 0
    and tallies.greatest_phase_us = 0 as is_in_quarters,
    coalesce(
        tallies.is_interval
        and tallies.last_end <= {{ utc_day_end('tallies.first_start') }}
        and tallies.least_span_us = tallies.greatest_span_us
        and tallies.least_phase_us = tallies.greatest_phase_us
        and tallies.least_quantity >= 0
        and visitors.site_id is null
        and rated_placements.site_id is not null
        and (
            meter_days.usage_metric != 'energy'
            or rated_placements.rated_kw is null
            or not {{ is_spike('tallies.greatest_quantity', 'rated_placements.rated_kw', 'tallies.greatest_span_us') }}
        ), false
    ) as is_plain
from tallies
inner join meter_days
    on tallies.meter_day_no = meter_days.meter_day_no
left join rated_placements
    on
        meter_days.site_id = rated_placements.site_id
        and meter_days.meter_id = rated_placements.meter_id
        and tallies.first_start >= rated_placements.valid_from_at
        and (rated_placements.valid_to_at is null or tallies.last_end <= rated_placements.valid_to_at)
left join visitors
    on
        meter_days.site_id = visitors.site_id
        and meter_days.meter_id = visitors.meter_id
        and meter_days.usage_metric = visitors.metric
