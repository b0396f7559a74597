{{ config(materialized='in_hand', meta={'phase': 'loop'}) }}

-- Filled by the loop.
select
    cast(null as bigint) as run_no,
    cast(null as {{ instant_type() }}) as run_at
where false
