{{ config(materialized='kept', meta={'phase': 'days'}) }}

select
    site_id,
    usage_date,
    min(first_possible_at) as first_possible_at,
    max(last_possible_at) as last_possible_at
from {{ ref('int_metering__reading_tallies') }}
where first_possible_at is not null
group by site_id, usage_date
