{{ config(materialized='in_hand', meta={'phase': 'days'}) }}

-- Rule 0, the days on which a meter came in several kinds; few do, so that the others need not be looked at again.
with readings as (

    select
        site_id,
        meter_id,
        usage_metric,
        usage_date,
        case kind when 'interval' then 1 when 'register' then 2 else 3 end as kind_rank
    from {{ ref('int_metering__readings') }}
    where impossible_kind is null

)

select
    site_id,
    meter_id,
    usage_metric,
    usage_date,
    min(kind_rank) as best_rank
from readings
group by site_id, meter_id, usage_metric, usage_date
having min(kind_rank) < max(kind_rank)
