-- Rule 2: two consecutive registers are an interval; a counter that fell was reset and says nothing about usage.
with pairs as (

    select
        site_id,
        meter_id,
        usage_metric,
        interval_start,
        interval_end,
        parts,
        next_parts,
        denominator,
        is_spike_allowed,
        batch_id,
        next_batch_id,
        ingested_at
    from {{ ref('int_metering__pairs') }}
    where kind = 'register'

)

select
    site_id,
    meter_id,
    usage_metric as metric,
    interval_start,
    interval_end,
    next_parts < parts as is_reset,
    case
        when next_parts >= parts then {{ unscaled_decimal(divide_nearest('(next_parts - parts)', 'denominator'), 9) }}
    end as quantity,
    is_spike_allowed,
    batch_id,
    next_batch_id,
    ingested_at
from pairs
