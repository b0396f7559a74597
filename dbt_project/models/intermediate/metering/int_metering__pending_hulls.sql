{{ config(materialized='kept', meta={'phase': 'loop'}) }}

-- Filled by the loop: the hulls of a run that was cut short.
select
    cast(null as string) as site_id,
    cast(null as {{ instant_type() }}) as hull_start,
    cast(null as {{ instant_type() }}) as hull_end
where false
