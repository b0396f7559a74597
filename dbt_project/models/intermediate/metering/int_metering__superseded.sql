{{ config(materialized='in_hand', meta={'phase': 'days'}) }}

-- Rule 1: of several rows with one key the one fetched last counts, of one fetch time the greatest batch_id.
with kinds as (

    select
        reading_no,
        site_id,
        meter_id,
        metric,
        kind,
        interval_start,
        interval_end,
        usage_date,
        canonical_value,
        batch_id,
        ingested_at,
        fate
    from {{ ref('int_metering__kinds') }}

),

batches as (

    select
        site_id,
        usage_date,
        batch_id,
        count(*) as batch_rows
    from kinds
    group by site_id, usage_date, batch_id

),

-- A batch gives one row per key, so of rows with one key all but one are outside the largest batch of their day.
small_batches as (

    select
        site_id,
        usage_date,
        batch_id
    from batches
    qualify row_number() over (partition by site_id, usage_date order by batch_rows desc, batch_id asc) > 1

),

contested as (

    select distinct
        kinds.site_id,
        kinds.meter_id,
        kinds.interval_start
    from kinds
    inner join small_batches
        on
            kinds.site_id = small_batches.site_id
            and kinds.usage_date = small_batches.usage_date
            and kinds.batch_id = small_batches.batch_id

),

numbered as (

    select
        kinds.reading_no,
        row_number() over (
            partition by
                kinds.site_id, kinds.meter_id, kinds.metric, kinds.kind, kinds.interval_start, kinds.interval_end, kinds.fate is null
            order by kinds.ingested_at desc, kinds.batch_id desc, kinds.canonical_value desc
        ) as version_no
    from kinds
    inner join contested
        on
            kinds.site_id = contested.site_id
            and kinds.meter_id = contested.meter_id
            and kinds.interval_start = contested.interval_start

)

select reading_no
from numbered
where version_no > 1
