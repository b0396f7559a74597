with charge_lines as (

    select
        period,
        statement_id,
        statement_kind,
        payer_id,
        event_id,
        line_key
    from {{ ref('int_billing__charge_lines') }}

),

-- Not owed, so nothing waits for them.
upheld as (

    select line_key
    from {{ ref('int_billing__disputed_lines') }}
    where state = 'upheld'

),

events as (

    select
        event_id,
        ingested_at
    from {{ ref('int_rating__events') }}

),

issued_statements as (

    select
        period,
        statement_id,
        payer_id,
        issued_at
    from {{ source('ledger', 'issued_statements') }}

),

approvals as (

    select distinct statement_id
    from {{ source('ledger', 'approvals') }}

),

last_issued as (

    select max(period) as period
    from issued_statements

),

payers_issued as (

    select
        payer_id,
        period,
        max(issued_at) as last_issued_at
    from issued_statements
    group by payer_id, period

),

not_issued as (

    select
        charge_lines.payer_id,
        charge_lines.period,
        charge_lines.statement_id,
        charge_lines.statement_kind,
        max(events.ingested_at) as fetched_at
    from charge_lines
    left join issued_statements
        on charge_lines.statement_id = issued_statements.statement_id
    left join events
        on charge_lines.event_id = events.event_id
    left join upheld
        on charge_lines.line_key = upheld.line_key
    where issued_statements.statement_id is null and upheld.line_key is null
    group by charge_lines.payer_id, charge_lines.period, charge_lines.statement_id, charge_lines.statement_kind

)

-- A statement of an exception that was fetched after the payer's statements of the month went out never waited for anything.
select distinct
    not_issued.payer_id,
    not_issued.period
from not_issued
cross join last_issued
left join payers_issued
    on
        not_issued.payer_id = payers_issued.payer_id
        and not_issued.period = payers_issued.period
left join approvals
    on not_issued.statement_id = approvals.statement_id
where
    last_issued.period is null
    or not_issued.period > last_issued.period
    or payers_issued.payer_id is null
    or approvals.statement_id is not null
    or not_issued.statement_kind = 'consolidated'
    or not_issued.fetched_at <= payers_issued.last_issued_at
