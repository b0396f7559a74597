{{ config(materialized='table') }}

with faults as (

    select
        kind,
        site_id,
        meter_id,
        metric,
        span_start,
        quantity,
        ingested_at,
        machine_id,
        contract_id,
        period
    from {{ ref('int_metering__faults') }}

),

unassigned as (

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
    from {{ ref('int_metering__unassigned') }}

),

missing as (

    select
        site_id,
        machine_id,
        contract_id,
        period,
        missing_hours,
        estimated_hours
    from {{ ref('int_metering__missing') }}

),

contract_terms as (

    select
        contract_id,
        billing_timezone
    from {{ source('book', 'contract_terms') }}

),

zone_months as (

    select
        timezone,
        period,
        start_at
    from {{ source('book', 'zone_months') }}

),

units as (

    select
        usage_metric,
        canonical_unit
    from {{ ref('units') }}
    where metric = usage_metric

),

canonical_units as (

    select distinct
        usage_metric as metric,
        canonical_unit as unit
    from units

),

spans as (

    select
        kind,
        site_id,
        meter_id,
        machine_id,
        contract_id,
        period,
        {{ utc_date('span_start') }} as day,
        metric,
        cast(1 as bigint) as occurrences,
        quantity,
        span_start as first_start,
        ingested_at as first_seen
    from faults
    union all
    select
        'unassigned_usage' as kind,
        site_id,
        meter_id,
        machine_id,
        cast(null as string) as contract_id,
        {{ month_of('usage_date') }} as period,
        usage_date as day,
        metric,
        intervals as occurrences,
        quantity,
        first_start,
        first_seen
    from unassigned

),

of_metrics as (

    select
        spans.kind,
        spans.site_id,
        spans.meter_id,
        spans.machine_id,
        spans.contract_id,
        spans.period,
        spans.day,
        spans.metric,
        canonical_units.unit,
        sum(spans.occurrences) as occurrences,
        sum(spans.quantity) as quantity,
        min(spans.first_start) as first_start,
        min(spans.first_seen) as first_seen
    from spans
    inner join canonical_units
        on spans.metric = canonical_units.metric
    group by
        spans.kind,
        spans.site_id,
        spans.meter_id,
        spans.machine_id,
        spans.contract_id,
        spans.period,
        spans.day,
        spans.metric,
        canonical_units.unit

),

-- Quantities of different metrics are not added up: the sentence names them one by one. An interval set by hand was never fetched.
of_days as (

    select
        kind,
        site_id,
        meter_id,
        machine_id,
        contract_id,
        period,
        day,
        cast(sum(occurrences) as bigint) as occurrences,
        case when count(*) = 1 then min(quantity) end as quantity,
        {{ listed(number_in_words('quantity') ~ " || ' ' || unit || ' of ' || metric", ' and ', 'metric') }} as amounts,
        min(first_start) as first_start,
        coalesce(min(first_seen), min(first_start)) as first_seen
    from of_metrics
    group by kind, site_id, meter_id, machine_id, contract_id, period, day

),

in_words as (

    select
        kind,
        site_id,
        meter_id,
        machine_id,
        contract_id,
        period,
        day,
        occurrences,
        quantity,
        first_seen,
        'Meter ' || meter_id || ' at ' || site_id || ': '
        || case kind
            when 'future_reading'
                then
                    {{ counted_in_words('occurrences', 'reading') }} || ' ending more than an hour after the fetch, set aside, not billed'
                    || coalesce(' (' || amounts || ')', '')
            when 'absurd_value'
                then
                    {{ counted_in_words('occurrences', 'reading') }} || ' of 1,000,000,000,000 or more, set aside, not billed'
                    || coalesce(' (' || amounts || ')', '')
            when 'register_reset'
                then 'the counter fell ' || {{ counted_in_words('occurrences', 'time') }} || ', which is a gap, not usage'
            when 'negative_quantity'
                then {{ counted_in_words('occurrences', 'interval') }} || ' below zero, quarantined, not billed (' || amounts || ')'
            when 'overlapping_intervals'
                then
                    {{ counted_in_words('occurrences', 'interval') }} || ' overlapping another, quarantined, not billed ('
                    || amounts || ')'
            when 'spike'
                then
                    {{ counted_in_words('occurrences', 'interval') }}
                    || ' above 1.5 times the rated power, quarantined, not billed (' || amounts || ')'
            when 'unknown_meter'
                then
                    {{ counted_in_words('occurrences', 'interval') }} || ' while no machine stood on it, quarantined, not billed ('
                    || amounts || ')'
            when 'unassigned_usage'
                then
                    amounts || ' in ' || {{ counted_in_words('occurrences', 'interval') }}
                    || coalesce(' of machine ' || machine_id || ', which belonged to no contract', ' while no machine stood on it')
                    || ', not billed'
        end
        || ', first at ' || {{ instant_in_words('first_start') }} || '.' as detail
    from of_days

),

contract_zones as (

    select distinct
        contract_id,
        billing_timezone
    from contract_terms

),

missing_in_words as (

    select
        'missing_readings' as kind,
        missing.site_id,
        cast(null as string) as meter_id,
        missing.machine_id,
        missing.contract_id,
        missing.period,
        cast(null as date) as day,
        cast(1 as bigint) as occurrences,
        missing.missing_hours as quantity,
        zone_months.start_at as first_seen,
        'Machine ' || missing.machine_id || ' at ' || missing.site_id || ' for contract ' || missing.contract_id || ': '
        || {{ number_in_words('missing.missing_hours') }} || case missing.missing_hours when 1 then ' hour of ' else ' hours of ' end
        || missing.period
        || ' without energy readings, not billed'
        || case
            when missing.estimated_hours > 0
                then ', besides ' || {{ number_in_words('missing.estimated_hours') }} || ' billed as estimated'
            else ''
        end
        || '.' as detail
    from missing
    inner join contract_zones
        on missing.contract_id = contract_zones.contract_id
    inner join zone_months
        on
            contract_zones.billing_timezone = zone_months.timezone
            and missing.period = zone_months.period

),

all_kinds as (

    select
        kind,
        site_id,
        meter_id,
        machine_id,
        contract_id,
        period,
        day,
        occurrences,
        quantity,
        detail,
        first_seen
    from in_words
    union all
    select
        kind,
        site_id,
        meter_id,
        machine_id,
        contract_id,
        period,
        day,
        occurrences,
        quantity,
        detail,
        first_seen
    from missing_in_words

)

select
    kind,
    'warning' as severity,
    period,
    site_id,
    meter_id,
    machine_id,
    contract_id,
    cast(null as string) as event_id,
    cast(null as string) as payer_id,
    cast(null as string) as statement_id,
    day,
    occurrences,
    cast(quantity as decimal(38, 9)) as quantity,
    detail,
    first_seen
from all_kinds
