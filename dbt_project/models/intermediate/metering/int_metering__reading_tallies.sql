{{ config(materialized='in_hand', meta={'phase': 'days'}) }}

-- What became of a meter's rows of a day.
with series as (

    select
        series_no,
        meter_day_no,
        site_id,
        usage_date,
        meter_id,
        usage_metric,
        kind
    from {{ ref('int_metering__series') }}

),

kinds as (

    select
        series_no,
        rows_landed,
        rows_impossible,
        is_unused
    from {{ ref('int_metering__kinds') }}

),

readings as (

    select
        series_no,
        interval_start,
        canonical_value,
        impossible_kind
    from {{ ref('int_metering__readings') }}

),

superseded as (

    select
        series_no,
        count(*) as rows_superseded
    from {{ ref('int_metering__superseded') }}
    group by series_no

),

rejected as (

    select
        series_no,
        count(*) as rows_rejected
    from {{ ref('int_metering__edited_readings') }}
    where is_rejected
    group by series_no

),

impossible as (

    select
        series_no,
        sum(canonical_value) as impossible_quantity
    from readings
    where impossible_kind is not null
    group by series_no

),

possible as (

    select
        series_no,
        min(interval_start) as first_possible_at,
        max(interval_start) as last_possible_at
    from readings
    where impossible_kind is null
    group by series_no

)

select
    series.site_id,
    series.usage_date,
    series.meter_id,
    series.usage_metric as metric,
    series.meter_day_no,
    min(possible.first_possible_at) as first_possible_at,
    max(possible.last_possible_at) as last_possible_at,
    sum(kinds.rows_landed) as rows_landed,
    sum(kinds.rows_impossible) as rows_impossible,
    coalesce(sum(rejected.rows_rejected), 0) as rows_rejected,
    coalesce(sum(superseded.rows_superseded), 0) as rows_superseded,
    sum(case when kinds.is_unused then kinds.rows_landed - kinds.rows_impossible else 0 end) as rows_unused_kind,
    sum(case when series.kind = 'interval' then coalesce(impossible.impossible_quantity, 0) else 0 end) as impossible_quantity
from series
inner join kinds
    on series.series_no = kinds.series_no
left join superseded
    on series.series_no = superseded.series_no
left join rejected
    on series.series_no = rejected.series_no
left join impossible
    on series.series_no = impossible.series_no
left join possible
    on series.series_no = possible.series_no
group by series.site_id, series.usage_date, series.meter_id, series.usage_metric, series.meter_day_no
