{{ config(materialized='in_hand', meta={'phase': 'loop'}) }}

-- Filled by the loop: the days that an earlier run had computed.
select
    cast(null as string) as site_id,
    cast(null as date) as usage_date
where false
