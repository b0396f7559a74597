with metering as (

    select
        kind,
        severity,
        period,
        site_id,
        meter_id,
        machine_id,
        contract_id,
        event_id,
        payer_id,
        statement_id,
        day,
        occurrences,
        quantity,
        detail,
        first_seen
    from {{ ref('int_metering__exceptions') }}

),

rating as (

    select
        kind,
        severity,
        period,
        site_id,
        meter_id,
        machine_id,
        contract_id,
        event_id,
        payer_id,
        statement_id,
        day,
        occurrences,
        quantity,
        detail
    from {{ ref('int_rating__exceptions') }}

),

reached_alerts as (

    select
        period,
        contract_id,
        measure,
        value,
        detail,
        period_start,
        alert_key
    from {{ ref('int_billing__alerts') }}
    where is_reached

),

disputed_lines as (

    select
        line_key,
        period,
        statement_id,
        payer_id,
        contract_id,
        site_id,
        event_id,
        detail,
        recorded_at
    from {{ ref('int_billing__disputed_lines') }}
    where state = 'open'

),

exception_actions as (

    select
        exception_id,
        action,
        recorded_at
    from {{ source('ledger', 'exception_actions') }}

),

combined as (

    select
        kind,
        severity,
        period,
        site_id,
        meter_id,
        machine_id,
        contract_id,
        event_id,
        payer_id,
        statement_id,
        day,
        occurrences,
        quantity,
        detail,
        first_seen,
        cast(null as string) as own_key
    from metering
    union all
    select
        kind,
        severity,
        period,
        site_id,
        meter_id,
        machine_id,
        contract_id,
        event_id,
        payer_id,
        statement_id,
        day,
        occurrences,
        quantity,
        detail,
        {{ utc_day_start("coalesce(day, cast(period || '-01' as date))") }} as first_seen,
        cast(null as string) as own_key
    from rating
    union all
    select
        case measure when 'energy_kwh' then 'usage_alert' else 'cost_alert' end as kind,
        'warning' as severity,
        period,
        cast(null as string) as site_id,
        cast(null as string) as meter_id,
        cast(null as string) as machine_id,
        contract_id,
        cast(null as string) as event_id,
        cast(null as string) as payer_id,
        cast(null as string) as statement_id,
        cast(null as date) as day,
        cast(1 as bigint) as occurrences,
        case measure when 'energy_kwh' then value end as quantity,
        detail,
        period_start as first_seen,
        alert_key as own_key
    from reached_alerts
    union all
    select
        'disputed_line' as kind,
        'warning' as severity,
        period,
        site_id,
        cast(null as string) as meter_id,
        cast(null as string) as machine_id,
        contract_id,
        event_id,
        payer_id,
        statement_id,
        cast(null as date) as day,
        cast(1 as bigint) as occurrences,
        cast(null as decimal(38, 9)) as quantity,
        detail,
        recorded_at as first_seen,
        line_key as own_key
    from disputed_lines

),

named as (

    select
        kind,
        severity,
        period,
        site_id,
        meter_id,
        machine_id,
        contract_id,
        event_id,
        payer_id,
        statement_id,
        day,
        occurrences,
        quantity,
        detail,
        first_seen,
        concat_ws(
            '|',
            kind,
            period,
            coalesce(site_id, ''),
            coalesce(meter_id, ''),
            coalesce(machine_id, ''),
            coalesce(contract_id, ''),
            coalesce(event_id, ''),
            coalesce(payer_id, ''),
            coalesce(statement_id, ''),
            coalesce(cast(day as string), ''),
            -- Names an alert's threshold, not the value, which grows, or a disputed line; null, and so no part of it, for every other kind.
            own_key
        ) as subject
    from combined

),

-- Several lines of one statement may lack the same thing; all else is one row a subject.
numbered as (

    select
        kind,
        severity,
        period,
        site_id,
        meter_id,
        machine_id,
        contract_id,
        event_id,
        payer_id,
        statement_id,
        day,
        occurrences,
        quantity,
        detail,
        first_seen,
        left(sha256(subject || '|' || row_number() over (partition by subject order by detail)), 16) as exception_id
    from named

),

newest_actions as (

    select
        exception_id,
        max_by(action, recorded_at) as action
    from exception_actions
    group by exception_id

)

select
    numbered.exception_id,
    numbered.kind,
    numbered.severity,
    numbered.period,
    numbered.site_id,
    numbered.meter_id,
    numbered.machine_id,
    numbered.contract_id,
    numbered.event_id,
    numbered.payer_id,
    numbered.statement_id,
    numbered.day,
    numbered.occurrences,
    cast(numbered.quantity as decimal(38, 9)) as quantity,
    numbered.detail,
    numbered.first_seen,
    {{ exception_status('newest_actions.action') }} as status
from numbered
left join newest_actions
    on numbered.exception_id = newest_actions.exception_id
