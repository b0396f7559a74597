{{ config(materialized='table') }}

-- depends_on: {{ ref('int_metering__days') }}
with landed_days as (

    select
        first_possible_at,
        last_possible_at
    from {{ ref('int_metering__landed_days') }}

)

select
    min(first_possible_at) as first_landed_at,
    max(last_possible_at) as newest_landed_at
from landed_days
