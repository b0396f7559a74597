{{ config(materialized='kept', meta={'phase': 'days', 'published_by': 'date'}) }}

with series as (

    select
        series_no,
        site_id,
        usage_date,
        meter_id,
        usage_metric,
        batch_id,
        ingested_at
    from {{ ref('int_metering__series') }}

),

used_readings as (

    select series_no
    from {{ ref('int_metering__used_readings') }}

),

responsibilities as (

    select
        site_id,
        meter_id,
        contract_id,
        span_start,
        span_end
    from {{ ref('int_metering__responsibilities') }}
    where contract_id is not null

),

tallies as (

    select
        series_no,
        count(*) as readings
    from used_readings
    group by series_no

),

of_meters as (

    select
        series.site_id,
        series.usage_date,
        series.meter_id,
        series.usage_metric,
        series.batch_id,
        series.ingested_at,
        sum(tallies.readings) as readings
    from tallies
    inner join series
        on tallies.series_no = series.series_no
    group by
        series.site_id, series.usage_date, series.meter_id, series.usage_metric, series.batch_id, series.ingested_at

),

-- A contract may hold a meter twice on a day.
held as (

    select distinct
        of_meters.site_id,
        of_meters.usage_date,
        responsibilities.contract_id,
        of_meters.meter_id,
        of_meters.usage_metric,
        of_meters.batch_id,
        of_meters.ingested_at,
        of_meters.readings
    from of_meters
    inner join responsibilities
        on
            of_meters.site_id = responsibilities.site_id
            and of_meters.meter_id = responsibilities.meter_id
            and responsibilities.span_start < {{ utc_day_start('of_meters.usage_date + 1') }}
            and responsibilities.span_end > {{ utc_day_start('of_meters.usage_date') }}

)

select
    site_id,
    usage_date,
    contract_id,
    usage_metric as metric,
    batch_id,
    cast(ingested_at as {{ instant_type() }}) as ingested_at,
    count(distinct meter_id) as meters,
    cast(sum(readings) as bigint) as readings
from held
group by site_id, usage_date, contract_id, usage_metric, batch_id, ingested_at
order by site_id, usage_date, contract_id
