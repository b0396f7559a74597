{{ config(materialized='table') }}

-- What is wrong with single readings and intervals, each with the machine and the contract that its span meets first.
-- depends_on: {{ ref('int_metering__days') }}
with day_faults as (

    select
        kind,
        site_id,
        meter_id,
        metric,
        span_start,
        span_end,
        quantity,
        batch_id,
        ingested_at
    from {{ ref('int_metering__day_faults') }}

),

wide_faults as (

    select
        verdict as kind,
        site_id,
        meter_id,
        metric,
        interval_start as span_start,
        interval_end as span_end,
        quantity,
        batch_id,
        ingested_at
    from {{ ref('int_metering__wide_intervals') }}
    where verdict != 'accepted'

),

placements as (

    select
        site_id,
        meter_id,
        machine_id,
        valid_from_at,
        valid_to_at
    from {{ source('book', 'placements') }}

),

assignments as (

    select
        machine_id,
        contract_id,
        valid_from_at,
        valid_to_at
    from {{ source('book', 'assignments') }}

),

contract_terms as (

    select
        contract_id,
        billing_timezone,
        valid_from_at,
        valid_to_at
    from {{ source('book', 'contract_terms') }}

),

zone_months as (

    select
        timezone,
        period,
        start_at,
        end_at
    from {{ source('book', 'zone_months') }}

),

faults as (

    select
        kind,
        site_id,
        meter_id,
        metric,
        span_start,
        span_end,
        quantity,
        batch_id,
        ingested_at
    from day_faults
    union all
    select
        kind,
        site_id,
        meter_id,
        metric,
        span_start,
        span_end,
        quantity,
        batch_id,
        ingested_at
    from wide_faults

),

-- A register or a gauge is a moment; it meets what holds in its first microsecond.
spans as (

    select distinct
        site_id,
        meter_id,
        span_start,
        span_end,
        greatest(span_end, span_start + interval 1 microsecond) as reaches_to
    from faults

),

placed as (

    select
        spans.site_id,
        spans.meter_id,
        spans.span_start,
        spans.span_end,
        placements.machine_id,
        greatest(spans.span_start, placements.valid_from_at) as placed_from,
        least(spans.reaches_to, placements.valid_to_at) as placed_to
    from spans
    inner join placements
        on
            spans.site_id = placements.site_id
            and spans.meter_id = placements.meter_id
            and spans.reaches_to > placements.valid_from_at
            and (placements.valid_to_at is null or spans.span_start < placements.valid_to_at)

),

assigned as (

    select
        placed.site_id,
        placed.meter_id,
        placed.span_start,
        placed.span_end,
        assignments.contract_id,
        greatest(placed.placed_from, assignments.valid_from_at) as assigned_from,
        least(placed.placed_to, assignments.valid_to_at) as assigned_to
    from placed
    inner join assignments
        on
            placed.machine_id = assignments.machine_id
            and placed.placed_to > assignments.valid_from_at
            and (assignments.valid_to_at is null or placed.placed_from < assignments.valid_to_at)

),

under_contract as (

    select
        assigned.site_id,
        assigned.meter_id,
        assigned.span_start,
        assigned.span_end,
        assigned.contract_id,
        contract_terms.billing_timezone,
        greatest(assigned.assigned_from, contract_terms.valid_from_at) as contract_from
    from assigned
    inner join contract_terms
        on
            assigned.contract_id = contract_terms.contract_id
            and assigned.assigned_to > contract_terms.valid_from_at
            and (contract_terms.valid_to_at is null or assigned.assigned_from < contract_terms.valid_to_at)

),

first_machines as (

    select
        site_id,
        meter_id,
        span_start,
        span_end,
        min_by(machine_id, placed_from) as machine_id
    from placed
    group by site_id, meter_id, span_start, span_end

),

first_contracts as (

    select
        site_id,
        meter_id,
        span_start,
        span_end,
        min_by(contract_id, contract_from) as contract_id,
        min_by(billing_timezone, contract_from) as billing_timezone,
        min(contract_from) as contract_from
    from under_contract
    group by site_id, meter_id, span_start, span_end

)

select
    faults.kind,
    faults.site_id,
    faults.meter_id,
    faults.metric,
    faults.span_start,
    faults.span_end,
    faults.quantity,
    faults.batch_id,
    faults.ingested_at,
    first_machines.machine_id,
    first_contracts.contract_id,
    coalesce(zone_months.period, {{ utc_month('faults.span_start') }}) as period
from faults
left join first_machines
    on
        faults.site_id = first_machines.site_id
        and faults.meter_id = first_machines.meter_id
        and faults.span_start = first_machines.span_start
        and faults.span_end = first_machines.span_end
left join first_contracts
    on
        faults.site_id = first_contracts.site_id
        and faults.meter_id = first_contracts.meter_id
        and faults.span_start = first_contracts.span_start
        and faults.span_end = first_contracts.span_end
left join zone_months
    on
        first_contracts.billing_timezone = zone_months.timezone
        and first_contracts.contract_from >= zone_months.start_at
        and first_contracts.contract_from < zone_months.end_at
