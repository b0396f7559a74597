with charge_lines as (

    select
        period,
        statement_id,
        statement_group,
        payer_id,
        contract_id,
        charge_code,
        site_id,
        event_id,
        amount,
        tax_code,
        line_key,
        problem,
        problem_count,
        problem_detail
    from {{ ref('int_billing__charge_lines') }}

),

credit_lines as (

    select
        period,
        statement_id,
        payer_id,
        contract_id,
        charge_code,
        site_id,
        event_id,
        amount,
        tax_code,
        line_key,
        problem,
        problem_count,
        problem_detail
    from {{ ref('int_billing__credit_lines') }}

),

events as (

    select
        event_id,
        site_id,
        machine_id,
        contract_id,
        period,
        service_code,
        occurred_at,
        occurred_on,
        fate
    from {{ ref('int_rating__events') }}

),

issued_statements as (

    select
        statement_id,
        period
    from {{ source('ledger', 'issued_statements') }}

),

waiting as (

    select
        payer_id,
        period
    from {{ ref('int_billing__waiting') }}

),

settings as (

    select adjustment_months
    from {{ source('book', 'settings') }}

),

open_period as (

    select {{ month_of(months_later("cast(max(period) || '-01' as date)", 1)) }} as period
    from issued_statements

),

lines as (

    select
        period,
        statement_id,
        statement_group,
        payer_id,
        contract_id,
        charge_code,
        site_id,
        event_id,
        amount,
        tax_code,
        line_key,
        problem,
        problem_count,
        problem_detail
    from charge_lines
    union all
    select
        period,
        statement_id,
        cast(null as string) as statement_group,
        payer_id,
        contract_id,
        charge_code,
        site_id,
        event_id,
        amount,
        tax_code,
        line_key,
        problem,
        problem_count,
        problem_detail
    from credit_lines

),

-- A statement that went out cannot be held back any more: what lacks something then holds back the payer's statement of the open period,
-- on which the adjustment will stand.
waiting_lines as (

    select
        lines.period,
        case
            when issued_statements.statement_id is null and (lines.charge_code = 'credit' or waiting.payer_id is not null)
                then lines.statement_id
            when
                {{ months_apart('lines.period', 'open_period.period') }}
                <= settings.adjustment_months
                then lines.payer_id || '/' || open_period.period || '/' || lines.statement_group
        end as statement_id,
        lines.payer_id,
        lines.contract_id,
        lines.charge_code,
        lines.site_id,
        lines.event_id,
        lines.amount,
        lines.tax_code,
        lines.line_key,
        lines.problem,
        lines.problem_count,
        lines.problem_detail
    from lines
    cross join open_period
    cross join settings
    left join issued_statements
        on lines.statement_id = issued_statements.statement_id
    left join waiting
        on
            lines.payer_id = waiting.payer_id
            and lines.period = waiting.period
    where lines.problem is not null or lines.tax_code is null

),

line_problems as (

    select
        waiting_lines.problem as kind,
        waiting_lines.period,
        waiting_lines.site_id,
        events.machine_id,
        waiting_lines.contract_id,
        waiting_lines.event_id,
        waiting_lines.payer_id,
        waiting_lines.statement_id,
        events.occurred_on as day,
        waiting_lines.problem_count as occurrences,
        case waiting_lines.problem when 'missing_index_price' then cast(waiting_lines.problem_count as decimal(38, 9)) end as quantity,
        waiting_lines.problem_detail || coalesce('; no line ' || waiting_lines.line_key, '') || '.' as detail
    from waiting_lines
    left join events
        on waiting_lines.event_id = events.event_id
    where waiting_lines.problem is not null and waiting_lines.statement_id is not null

),

untaxed_lines as (

    select
        'no_tax_rule' as kind,
        waiting_lines.period,
        waiting_lines.site_id,
        events.machine_id,
        waiting_lines.contract_id,
        waiting_lines.event_id,
        waiting_lines.payer_id,
        waiting_lines.statement_id,
        events.occurred_on as day,
        cast(1 as bigint) as occurrences,
        cast(null as decimal(38, 9)) as quantity,
        'No tax rule matches line ' || waiting_lines.line_key || '.' as detail
    from waiting_lines
    left join events
        on waiting_lines.event_id = events.event_id
    where waiting_lines.amount is not null and waiting_lines.tax_code is null and waiting_lines.statement_id is not null

),

unbilled_events as (

    select
        case fate when 'disputed' then 'disputed_event' else 'unassigned_event' end as kind,
        coalesce(period, {{ month_of('occurred_on') }}) as period,
        site_id,
        machine_id,
        contract_id,
        event_id,
        cast(null as string) as payer_id,
        cast(null as string) as statement_id,
        occurred_on as day,
        cast(1 as bigint) as occurrences,
        cast(null as decimal(38, 9)) as quantity,
        case fate
            when 'disputed' then 'Event ' || event_id || ' (' || service_code || ', ' || occurred_on || ') is disputed and billed nowhere.'
            else 'Event ' || event_id || ' (' || service_code || ', ' || occurred_on || ') belongs to no contract with a term at that time.'
        end as detail
    from events
    where fate in ('disputed', 'unassigned')

),

all_kinds as (

    select
        kind,
        'blocking' as severity,
        period,
        site_id,
        machine_id,
        contract_id,
        event_id,
        payer_id,
        statement_id,
        day,
        occurrences,
        quantity,
        detail
    from line_problems
    union all
    select
        kind,
        'blocking' as severity,
        period,
        site_id,
        machine_id,
        contract_id,
        event_id,
        payer_id,
        statement_id,
        day,
        occurrences,
        quantity,
        detail
    from untaxed_lines
    union all
    select
        kind,
        'warning' as severity,
        period,
        site_id,
        machine_id,
        contract_id,
        event_id,
        payer_id,
        statement_id,
        day,
        occurrences,
        quantity,
        detail
    from unbilled_events

)

select
    kind,
    severity,
    period,
    site_id,
    cast(null as string) as meter_id,
    machine_id,
    contract_id,
    event_id,
    payer_id,
    statement_id,
    day,
    occurrences,
    cast(quantity as decimal(38, 9)) as quantity,
    detail
from all_kinds
