{{ config(materialized='in_hand', meta={'phase': 'loop'}) }}

-- Filled by the loop: the rows of usage_daily that are about to be totalled anew.
select
    cast(null as string) as site_id,
    cast(null as string) as machine_id,
    cast(null as string) as contract_id,
    cast(null as date) as usage_date,
    cast(null as string) as metric,
    cast(null as decimal(38, 9)) as metered_quantity,
    cast(null as decimal(38, 9)) as estimated_quantity,
    cast(null as string) as unit
where false
