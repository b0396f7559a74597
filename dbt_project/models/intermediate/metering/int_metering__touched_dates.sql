{{ config(materialized='kept', meta={'phase': 'loop', 'remembers': true}) }}

-- Filled by the loop.
select
    cast(null as string) as site_id,
    cast(null as date) as usage_date,
    cast(null as bigint) as run_no,
    cast(null as string) as why,
    cast(null as boolean) as is_settled
where false
