{{ config(materialized='kept', meta={'phase': 'days'}) }}

select
    site_id,
    usage_date,
    meter_id,
    metric,
    kind,
    denominator,
    first_start,
    first_parts,
    first_batch_id,
    first_ingested_at,
    last_start,
    last_parts,
    last_batch_id,
    last_ingested_at,
    is_spike_allowed_after_last
from {{ ref('int_metering__reading_tallies') }}
where kind is not null
order by site_id, meter_id
