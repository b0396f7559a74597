{{ config(materialized='in_hand', meta={'phase': 'days'}) }}

with validated_intervals as (

    select
        site_id,
        meter_id,
        metric,
        origin,
        interval_start,
        interval_end,
        quantity,
        verdict,
        {{ us('interval_end') }} - {{ us('interval_start') }} as span_us
    from {{ ref('int_metering__validated_intervals') }}

),

used_tallies as (

    select
        site_id,
        usage_date,
        meter_id,
        metric,
        rows_used,
        first_start,
        last_end,
        quantity,
        covered_us
    from {{ ref('int_metering__used_tallies') }}
    where is_plain

)

select
    site_id,
    {{ utc_date('interval_start') }} as usage_date,
    meter_id,
    metric,
    min(interval_start) filter (where verdict != 'negative_quantity') as first_inside_start,
    max(interval_end) filter (where verdict != 'negative_quantity') as last_inside_end,
    count(*) filter (where verdict != 'accepted') as rows_quarantined,
    coalesce(sum(quantity) filter (where verdict != 'accepted'), 0) as quarantined_quantity,
    count(*) filter (where verdict = 'accepted') as intervals,
    coalesce(sum(quantity) filter (where verdict = 'accepted'), 0) as accepted_quantity,
    cast(coalesce(sum(span_us) filter (where verdict = 'accepted'), 0) as bigint) as covered_us,
    min(interval_start) filter (where verdict = 'accepted') as covered_from,
    max(interval_end) filter (where verdict = 'accepted') as covered_to
from validated_intervals
group by site_id, {{ utc_date('interval_start') }}, meter_id, metric
union all
select
    site_id,
    usage_date,
    meter_id,
    metric,
    first_start as first_inside_start,
    last_end as last_inside_end,
    cast(0 as bigint) as rows_quarantined,
    cast(0 as decimal(38, 9)) as quarantined_quantity,
    rows_used as intervals,
    quantity as accepted_quantity,
    covered_us,
    first_start as covered_from,
    last_end as covered_to
from used_tallies
