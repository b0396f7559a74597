{{ config(materialized='in_hand', meta={'phase': 'days'}) }}

-- Rule 1a: what people decided about readings, of those that deduplication kept.
with series as (

    select
        series_no,
        site_id,
        meter_id,
        metric,
        usage_metric
    from {{ ref('int_metering__series') }}

),

kinds as (

    select series_no
    from {{ ref('int_metering__kinds') }}
    where not is_unused

),

readings as (

    select
        series_no,
        interval_start,
        interval_end
    from {{ ref('int_metering__readings') }}
    where impossible_kind is null

),

superseded as (

    select
        series_no,
        interval_start,
        reaches_to
    from {{ ref('int_metering__superseded') }}

),

-- Edits of energy reach gauges of power too. Edits of one meter and metric do not overlap (the book sees to it, with power and
-- energy as one), so a row meets one at most.
reading_edits as (

    select
        site_id,
        meter_id,
        metric,
        case metric when 'power' then 'energy' else metric end as usage_metric,
        from_at,
        to_at,
        action,
        reason
    from {{ source('book', 'reading_edits') }}

),

edited_series as (

    select
        series.series_no,
        reading_edits.from_at,
        reading_edits.to_at,
        reading_edits.action,
        reading_edits.reason
    from series
    inner join kinds
        on series.series_no = kinds.series_no
    inner join reading_edits
        on
            series.site_id = reading_edits.site_id
            and series.meter_id = reading_edits.meter_id
            and series.usage_metric = reading_edits.usage_metric
            and reading_edits.metric in (series.metric, series.usage_metric)

),

edited as (

    select
        readings.series_no,
        readings.interval_start,
        coalesce(readings.interval_end, readings.interval_start) as reaches_to,
        edited_series.action,
        edited_series.reason
    from readings
    inner join edited_series
        on
            readings.series_no = edited_series.series_no
            and readings.interval_start >= edited_series.from_at
            and readings.interval_start < edited_series.to_at

)

select
    edited.series_no,
    edited.interval_start,
    edited.reaches_to,
    edited.action != 'accept' as is_rejected,
    edited.reason
from edited
left join superseded
    on
        edited.series_no = superseded.series_no
        and edited.interval_start = superseded.interval_start
        and edited.reaches_to = superseded.reaches_to
where superseded.series_no is null
