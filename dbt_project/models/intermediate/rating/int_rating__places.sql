-- depends_on: {{ ref('int_metering__days') }}
with occupancy as (

    select
        contract_id,
        period,
        site_id
    from {{ ref('int_rating__occupancy') }}

),

month_usage as (

    select
        contract_id,
        period,
        site_id
    from {{ ref('int_metering__month_usage') }}

),

events as (

    select
        contract_id,
        period,
        site_id
    from {{ ref('int_rating__events') }}
    where period is not null

)

select
    contract_id,
    period,
    site_id
from occupancy
union
select
    contract_id,
    period,
    site_id
from month_usage
union
select
    contract_id,
    period,
    site_id
from events
