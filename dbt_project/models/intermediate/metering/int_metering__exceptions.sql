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
        meter_id,
        metric,
        machine_id,
        interval_start,
        interval_end,
        quantity,
        ingested_at
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

-- Usage that several parts of one interval leave unassigned is one occurrence.
unassigned_intervals as (

    select
        'unassigned_usage' as kind,
        site_id,
        meter_id,
        metric,
        machine_id,
        cast(null as varchar) as contract_id,
        {{ utc_month('interval_start') }} as period,
        interval_start as span_start,
        interval_end,
        sum(quantity) as quantity,
        min(ingested_at) as ingested_at
    from unassigned
    group by site_id, meter_id, metric, machine_id, interval_start, interval_end
    having sum(quantity) > 0

),

spans as (

    select
        kind,
        site_id,
        meter_id,
        metric,
        machine_id,
        contract_id,
        period,
        span_start,
        quantity,
        ingested_at
    from faults
    union all
    select
        kind,
        site_id,
        meter_id,
        metric,
        machine_id,
        contract_id,
        period,
        span_start,
        quantity,
        ingested_at
    from unassigned_intervals

),

of_metrics as (

    select
        spans.kind,
        spans.site_id,
        spans.meter_id,
        spans.machine_id,
        spans.contract_id,
        spans.period,
        {{ utc_date('spans.span_start') }} as day,
        spans.metric,
        canonical_units.unit,
        count(*) as occurrences,
        sum(spans.quantity) as quantity,
        min(spans.span_start) as first_start,
        min(spans.ingested_at) as first_seen
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
        {{ utc_date('spans.span_start') }},
        spans.metric,
        canonical_units.unit

),

-- Quantities of different metrics are not added up: the sentence names them one by one.
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
        string_agg({{ plain_number('quantity') }} || ' ' || unit || ' of ' || metric, ' and ' order by metric) as amounts,
        min(first_start) as first_start,
        min(first_seen) as first_seen
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
        case kind
            when 'future_reading'
                then
                    occurrences || ' reading(s) end more than an hour after they were fetched ('
                    || coalesce(amounts || ', ', '') || 'fetched ' || {{ plain_instant('first_seen') }} || '): set aside, not billed.'
            when 'absurd_value'
                then
                    occurrences || ' reading(s) of 1000000000000 or more'
                    || coalesce(' (' || amounts || ')', '') || ': set aside, not billed.'
            when 'register_reset'
                then occurrences || ' time(s) the counter fell, which is no usage but a gap.'
            when 'negative_quantity'
                then occurrences || ' interval(s) with less than nothing (' || amounts || '): quarantined, not billed.'
            when 'overlapping_intervals'
                then occurrences || ' intervals that overlap another of the same meter (' || amounts || '): quarantined, not billed.'
            when 'spike'
                then
                    occurrences || ' interval(s) above 1.5 times what the machine can draw (' || amounts
                    || '): quarantined, not billed.'
            when 'unknown_meter'
                then occurrences || ' interval(s) of a meter on which no machine stood (' || amounts || '): quarantined, not billed.'
            when 'unassigned_usage'
                then
                    amounts || ' in ' || occurrences || ' interval(s) '
                    || case
                        when machine_id is null then 'while no machine stood on the meter'
                        else 'of a machine that belonged to no contract'
                    end || ': not billed.'
        end
        || ' Meter ' || meter_id || ' at ' || site_id || ', first at ' || {{ plain_instant('first_start') }} || '.' as detail
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
        cast(null as varchar) as meter_id,
        missing.machine_id,
        missing.contract_id,
        missing.period,
        cast(null as date) as day,
        cast(1 as bigint) as occurrences,
        missing.missing_hours as quantity,
        zone_months.start_at as first_seen,
        {{ plain_number('missing.missing_hours') }} || ' hour(s) without energy readings of machine ' || missing.machine_id || ' at '
        || missing.site_id
        || case
            when missing.estimated_hours > 0
                then ', besides ' || {{ plain_number('missing.estimated_hours') }} || ' hour(s) that were estimated'
            else ''
        end
        || ': not billed.' as detail
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
    cast(null as varchar) as event_id,
    cast(null as varchar) as payer_id,
    cast(null as varchar) as statement_id,
    day,
    occurrences,
    cast(quantity as decimal(38, 9)) as quantity,
    detail,
    first_seen
from all_kinds
