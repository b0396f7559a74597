with disputed_lines as (

    select
        line_key,
        state,
        said_by,
        reason,
        recorded_at,
        statement_number,
        statement_id,
        period,
        payer_id,
        contract_id,
        event_id,
        amount,
        currency
    from {{ ref('int_billing__disputed_lines') }}

),

charge_disputes as (

    select
        subject,
        state,
        said_by,
        reason,
        recorded_at
    from {{ source('ledger', 'charge_disputes') }}
    where scope = 'event'

),

events as (

    select
        event_id,
        contract_id,
        period
    from {{ ref('int_rating__events') }}

),

disputes as (

    select
        subject,
        state,
        said_by,
        reason,
        recorded_at
    from {{ source('ledger', 'disputes') }}

),

issued_statements as (

    select
        statement_number,
        statement_id,
        period,
        payer_id,
        total,
        currency
    from {{ source('ledger', 'issued_statements') }}

)

select
    'line' as scope,
    line_key as subject,
    state,
    period,
    statement_id,
    statement_number,
    payer_id,
    contract_id,
    event_id,
    cast(amount as decimal(18, 2)) as amount,
    currency,
    said_by,
    reason,
    recorded_at
from disputed_lines
union all
select
    'event' as scope,
    charge_disputes.subject,
    charge_disputes.state,
    events.period,
    cast(null as string) as statement_id,
    cast(null as string) as statement_number,
    cast(null as string) as payer_id,
    events.contract_id,
    charge_disputes.subject as event_id,
    cast(null as decimal(18, 2)) as amount,
    cast(null as string) as currency,
    charge_disputes.said_by,
    charge_disputes.reason,
    charge_disputes.recorded_at
from charge_disputes
left join events
    on charge_disputes.subject = events.event_id
union all
select
    'statement' as scope,
    disputes.subject,
    disputes.state,
    issued_statements.period,
    issued_statements.statement_id,
    issued_statements.statement_number,
    issued_statements.payer_id,
    cast(null as string) as contract_id,
    cast(null as string) as event_id,
    cast(issued_statements.total as decimal(18, 2)) as amount,
    issued_statements.currency,
    disputes.said_by,
    disputes.reason,
    disputes.recorded_at
from disputes
inner join issued_statements
    on disputes.subject = issued_statements.statement_number
