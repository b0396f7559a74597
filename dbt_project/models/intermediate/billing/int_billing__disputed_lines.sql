with disputes as (

    select
        subject,
        state,
        said_by,
        reason,
        recorded_at
    from {{ source('ledger', 'charge_disputes') }}
    where scope = 'line'

),

charge_lines as (

    select
        line_key,
        period,
        statement_id,
        payer_id,
        contract_id,
        site_id,
        event_id,
        amount,
        currency
    from {{ ref('int_billing__charge_lines') }}

),

issued_lines as (

    select
        line_key,
        statement_number,
        statement_id,
        period,
        payer_id,
        contract_id,
        site_id,
        case when charge_model = 'pass_through' then band end as event_id,
        amount,
        currency
    from {{ source('ledger', 'issued_lines') }}

),

payers as (

    select
        payer_id,
        minor_units
    from {{ source('book', 'payers') }}

),

-- An issued line is disputed as it was issued; a line that is neither issued nor rated any more has only its key.
placed as (

    select
        disputes.subject as line_key,
        disputes.state,
        disputes.said_by,
        disputes.reason,
        disputes.recorded_at,
        issued_lines.statement_number,
        coalesce(issued_lines.statement_id, charge_lines.statement_id) as statement_id,
        -- The month is the second part of every key.
        split_part(disputes.subject, '/', 2) as period,
        coalesce(issued_lines.payer_id, charge_lines.payer_id) as payer_id,
        coalesce(issued_lines.contract_id, charge_lines.contract_id) as contract_id,
        coalesce(issued_lines.site_id, charge_lines.site_id) as site_id,
        coalesce(issued_lines.event_id, charge_lines.event_id) as event_id,
        coalesce(issued_lines.amount, charge_lines.amount) as amount,
        coalesce(issued_lines.currency, charge_lines.currency) as currency
    from disputes
    left join issued_lines
        on disputes.subject = issued_lines.line_key
    left join charge_lines
        on disputes.subject = charge_lines.line_key

)

select
    placed.line_key,
    placed.state,
    placed.said_by,
    placed.reason,
    placed.recorded_at,
    placed.statement_number,
    placed.statement_id,
    placed.period,
    placed.payer_id,
    placed.contract_id,
    placed.site_id,
    placed.event_id,
    placed.amount,
    placed.currency,
    'Line ' || placed.line_key
    || coalesce(' (' || {{ money_in_words('placed.amount', 'placed.currency', 'coalesce(payers.minor_units, 2)') }} || ')', '')
    || ' is disputed (' || placed.said_by || ': ' || placed.reason || ') and '
    || case
        when placed.statement_number is null then 'not billed until that is decided.'
        else 'statement ' || placed.statement_number || ' is not chased until that is decided.'
    end as detail
from placed
left join payers
    on placed.payer_id = payers.payer_id
