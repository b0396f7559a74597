-- Rule 3: two samples of power no more than 15 minutes apart are an interval of energy at their mean.
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
        ingested_at,
        {{ us('interval_end') }} - {{ us('interval_start') }} as span_us
    from {{ ref('int_metering__pairs') }}
    where kind = 'gauge'

)

select
    site_id,
    meter_id,
    usage_metric as metric,
    interval_start,
    interval_end,
    {{ unscaled_decimal(
        divide_nearest('((parts + next_parts) * span_us)', '(denominator * 2 * 3600000000)'), 9
    ) }} as quantity,
    is_spike_allowed,
    batch_id,
    next_batch_id,
    ingested_at
from pairs
where span_us <= 15 * 60 * 1000000
