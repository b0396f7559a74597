-- depends_on: {{ ref('int_metering__days') }}
with faults as (

    select
        kind,
        site_id,
        meter_id,
        metric,
        machine_id,
        contract_id,
        period,
        span_start,
        span_end,
        quantity,
        batch_id,
        ingested_at
    from {{ ref('int_metering__faults') }}

),

day_rejected as (

    select
        site_id,
        usage_date,
        meter_id,
        metric,
        interval_start,
        interval_end,
        quantity,
        reason,
        batch_id,
        ingested_at
    from {{ ref('int_metering__day_rejected') }}

),

units as (

    select distinct
        usage_metric,
        canonical_unit
    from {{ ref('units') }}
    where metric = usage_metric

),

set_aside as (

    select
        kind as reason,
        cast(null as string) as edit_reason,
        site_id,
        meter_id,
        metric,
        machine_id,
        contract_id,
        period,
        span_start as interval_start,
        span_end as interval_end,
        quantity,
        batch_id,
        ingested_at
    from faults
    union all
    select
        'rejected' as reason,
        reason as edit_reason,
        site_id,
        meter_id,
        metric,
        cast(null as string) as machine_id,
        cast(null as string) as contract_id,
        {{ month_of('usage_date') }} as period,
        interval_start,
        interval_end,
        quantity,
        batch_id,
        ingested_at
    from day_rejected

)

select
    set_aside.site_id,
    set_aside.meter_id,
    set_aside.metric,
    set_aside.reason,
    set_aside.edit_reason,
    set_aside.machine_id,
    set_aside.contract_id,
    set_aside.period,
    set_aside.interval_start,
    set_aside.interval_end,
    set_aside.quantity,
    units.canonical_unit as unit,
    set_aside.batch_id,
    cast(set_aside.ingested_at as {{ instant_type() }}) as ingested_at
from set_aside
inner join units
    on set_aside.metric = units.usage_metric
