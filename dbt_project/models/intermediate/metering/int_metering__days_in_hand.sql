{{ config(materialized='in_hand', meta={'phase': 'loop'}) }}

-- Filled by the loop over days.
select
    cast(null as string) as site_id,
    cast(null as date) as usage_date
where false
