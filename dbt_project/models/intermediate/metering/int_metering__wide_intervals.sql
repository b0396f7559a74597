{{ config(
    materialized='kept',
    meta={
        'phase': 'spans',
        'replaces': 'exists (select 1 from [hulls] as hulls where hulls.site_id = [self].site_id'
            ' and hulls.hull_start <= [self].interval_end and hulls.hull_end >= [self].interval_start)'
    }
) }}

-- Rule 4 for what reaches over the bounds of days.
with hulls as (

    select
        site_id,
        hull_start,
        hull_end
    from {{ ref('int_metering__hulls') }}

),

validated_intervals as (

    select
        site_id,
        meter_id,
        metric,
        origin,
        interval_start,
        interval_end,
        quantity,
        verdict,
        batch_id,
        end_batch_id,
        ingested_at
    from {{ ref('int_metering__validated_intervals') }}

),

meter_cover as (

    select
        site_id,
        usage_date,
        meter_id,
        metric,
        first_inside_start,
        last_inside_end
    from {{ ref('int_metering__meter_cover') }}
    where first_inside_start is not null

),

-- An interval that reaches over a day's bounds fills the days that it touches but for the first and the last, so how far the
-- intervals inside each of these days go tells whether it overlaps one.
touching as (

    select
        site_id,
        meter_id,
        metric,
        origin,
        interval_start,
        interval_end,
        {{ each_utc_day('interval_start', 'interval_end') }} as usage_date
    from validated_intervals
    where
        origin != 'set'
        and verdict not in ('negative_quantity', 'overlapping_intervals')

),

overlapping as (

    select distinct
        touching.site_id,
        touching.meter_id,
        touching.metric,
        touching.origin,
        touching.interval_start,
        touching.interval_end
    from touching
    inner join meter_cover
        on
            touching.site_id = meter_cover.site_id
            and touching.meter_id = meter_cover.meter_id
            and touching.metric = meter_cover.metric
            and touching.usage_date = meter_cover.usage_date
    where
        meter_cover.first_inside_start < touching.interval_end
        and meter_cover.last_inside_end > touching.interval_start

),

resets as (

    select
        site_id,
        meter_id,
        metric,
        interval_start,
        interval_end,
        batch_id,
        next_batch_id,
        ingested_at
    from {{ ref('int_metering__register_intervals') }}
    where is_reset

),

judged as (

    select
        validated_intervals.site_id,
        validated_intervals.meter_id,
        validated_intervals.metric,
        validated_intervals.origin,
        validated_intervals.interval_start,
        validated_intervals.interval_end,
        validated_intervals.quantity,
        case when overlapping.site_id is null then validated_intervals.verdict else 'overlapping_intervals' end as verdict,
        validated_intervals.batch_id,
        validated_intervals.end_batch_id,
        validated_intervals.ingested_at
    from validated_intervals
    left join overlapping
        on
            validated_intervals.site_id = overlapping.site_id
            and validated_intervals.meter_id = overlapping.meter_id
            and validated_intervals.metric = overlapping.metric
            and validated_intervals.origin = overlapping.origin
            and validated_intervals.interval_start = overlapping.interval_start
            and validated_intervals.interval_end = overlapping.interval_end
    union all
    select
        site_id,
        meter_id,
        metric,
        'register' as origin,
        interval_start,
        interval_end,
        cast(null as decimal(38, 9)) as quantity,
        'register_reset' as verdict,
        batch_id,
        next_batch_id as end_batch_id,
        ingested_at
    from resets

)

select
    judged.site_id,
    judged.meter_id,
    judged.metric,
    judged.origin,
    judged.interval_start,
    judged.interval_end,
    judged.quantity,
    judged.verdict,
    judged.batch_id,
    judged.end_batch_id,
    judged.ingested_at
from judged
inner join hulls
    on
        judged.site_id = hulls.site_id
        and judged.interval_end >= hulls.hull_start
        and judged.interval_start <= hulls.hull_end
