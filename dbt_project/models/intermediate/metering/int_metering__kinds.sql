{{ config(materialized='view') }}

-- Rule 0: one kind a day. Of a meter's rows of one metric on one UTC day only the best kind present counts.
with readings as (

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
        impossible_kind,
        case kind when 'interval' then 1 when 'register' then 2 else 3 end as kind_rank
    from {{ ref('int_metering__readings') }}

),

compared as (

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
        impossible_kind,
        kind_rank,
        min(kind_rank) over (
            partition by site_id, meter_id, usage_metric, usage_date, impossible_kind is null
        ) as best_kind_rank
    from readings

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
        when impossible_kind is not null then 'quarantined'
        when kind_rank > best_kind_rank then 'unused_kind'
    end as fate,
    impossible_kind as fate_reason
from compared
