{{ config(materialized='in_hand', meta={'phase': 'loop'}) }}

-- Filled by the loop, once it is through its days.
select
    cast(null as string) as site_id,
    cast(null as date) as usage_date,
    cast(null as string) as why
where false
