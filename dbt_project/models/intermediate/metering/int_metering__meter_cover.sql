{{ config(materialized='kept', meta={'phase': 'days'}) }}

select
    site_id,
    usage_date,
    meter_id,
    metric,
    first_inside_start,
    last_inside_end,
    intervals,
    covered_us
from {{ ref('int_metering__interval_tallies') }}
order by site_id, meter_id
