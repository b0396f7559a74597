{{ config(materialized='view') }}

-- Rule 1: of several rows with one key the one fetched last counts, of one fetch time the greatest batch_id.
with kinds as (

    select
        site_id,
        meter_id,
        metric,
        usage_metric,
        kind,
        interval_start,
        interval_end,
        usage_date,
        parts,
        denominator,
        canonical_value,
        quality,
        batch_id,
        ingested_at,
        fate,
        fate_reason
    from {{ ref('int_metering__kinds') }}

),

-- batch_id names a row within one key; the columns after it only keep a hand-made landing zone that repeats one deterministic.
numbered as (

    select
        site_id,
        meter_id,
        metric,
        usage_metric,
        kind,
        interval_start,
        interval_end,
        usage_date,
        parts,
        denominator,
        canonical_value,
        quality,
        batch_id,
        ingested_at,
        fate,
        fate_reason,
        row_number() over (
            partition by site_id, meter_id, metric, kind, interval_start, interval_end, fate is null
            order by ingested_at desc, batch_id desc, parts desc, quality asc
        ) as version_no
    from kinds

)

select
    site_id,
    meter_id,
    metric,
    usage_metric,
    kind,
    interval_start,
    interval_end,
    usage_date,
    parts,
    denominator,
    canonical_value,
    quality,
    batch_id,
    ingested_at,
    case
        when fate is not null then fate
        when version_no > 1 then 'superseded'
    end as fate,
    fate_reason
from numbered
