{{ config(materialized='in_hand', meta={'phase': 'days'}) }}

-- Rule 1: of several rows with one key the one fetched last counts, of one fetch time the greatest batch_id.
with series as (

    select
        series_no,
        key_no,
        batch_id,
        ingested_at
    from {{ ref('int_metering__series') }}

),

kinds as (

    select
        series_no,
        rows_landed
    from {{ ref('int_metering__kinds') }}
    where not is_unused

),

readings as (

    select
        series_no,
        interval_start,
        interval_end,
        canonical_value
    from {{ ref('int_metering__readings') }}
    where impossible_kind is null

),

used_series as (

    select
        series.series_no,
        series.key_no,
        series.batch_id,
        series.ingested_at,
        row_number() over (partition by series.key_no order by kinds.rows_landed desc, series.series_no asc) as size_rank,
        count(*) over (partition by series.key_no) as series_of_key
    from series
    inner join kinds
        on series.series_no = kinds.series_no

),

-- A batch gives one row per key, so of rows with one key all but one are outside the largest series.
contested as (

    select distinct
        used_series.key_no,
        readings.interval_start
    from readings
    inner join used_series
        on readings.series_no = used_series.series_no
    where used_series.size_rank > 1

),

numbered as (

    select
        readings.series_no,
        readings.interval_start,
        readings.interval_end,
        row_number() over (
            partition by used_series.key_no, readings.interval_start, readings.interval_end
            order by used_series.ingested_at desc, used_series.batch_id desc, readings.canonical_value desc
        ) as version_no
    from readings
    inner join used_series
        on readings.series_no = used_series.series_no
    inner join contested
        on
            used_series.key_no = contested.key_no
            and readings.interval_start = contested.interval_start
    where used_series.series_of_key > 1

)

select
    series_no,
    interval_start,
    coalesce(interval_end, interval_start) as reaches_to
from numbered
where version_no > 1
