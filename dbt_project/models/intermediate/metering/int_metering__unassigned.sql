{{ config(materialized='table') }}

-- Rule 7: the parts of accepted intervals that fall to nobody, by meter, machine and UTC day of the interval's start.
-- depends_on: {{ ref('int_metering__days') }}
with day_unassigned as (

    select
        site_id,
        usage_date,
        meter_id,
        metric,
        machine_id,
        intervals,
        quantity,
        first_start,
        first_seen
    from {{ ref('int_metering__day_unassigned') }}

),

pieces as (

    select
        site_id,
        meter_id,
        metric,
        machine_id,
        interval_start,
        interval_end,
        quantity,
        ingested_at
    from {{ ref('int_metering__pieces') }}
    where
        contract_id is null
        and not is_estimated

),

-- Usage that several parts of one interval leave unassigned is one occurrence.
wide_unassigned as (

    select
        site_id,
        {{ utc_date('interval_start') }} as usage_date,
        meter_id,
        metric,
        machine_id,
        cast(1 as bigint) as intervals,
        sum(quantity) as quantity,
        interval_start as first_start,
        min(ingested_at) as first_seen
    from pieces
    group by site_id, meter_id, metric, machine_id, interval_start, interval_end
    having sum(quantity) > 0

),

all_unassigned as (

    select
        site_id,
        usage_date,
        meter_id,
        metric,
        machine_id,
        intervals,
        quantity,
        first_start,
        first_seen
    from day_unassigned
    union all
    select
        site_id,
        usage_date,
        meter_id,
        metric,
        machine_id,
        intervals,
        quantity,
        first_start,
        first_seen
    from wide_unassigned

)

select
    site_id,
    usage_date,
    meter_id,
    metric,
    machine_id,
    cast(sum(intervals) as bigint) as intervals,
    cast(sum(quantity) as decimal(38, 9)) as quantity,
    min(first_start) as first_start,
    min(first_seen) as first_seen
from all_unassigned
group by site_id, usage_date, meter_id, metric, machine_id
