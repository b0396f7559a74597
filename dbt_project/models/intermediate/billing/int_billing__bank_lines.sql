with lines as (

    select
        line_id,
        account,
        currency,
        booked_on,
        value_on,
        amount,
        counterparty_name,
        counterparty_account,
        remittance,
        end_to_end_id,
        bank_reference,
        reversal,
        file_name,
        place,
        imported_at
    from {{ source('ledger', 'bank_lines') }}

),

matches as (

    select
        match_id,
        line_id,
        statement_number,
        amount,
        state,
        payment_id,
        said_by,
        reason
    from {{ source('ledger', 'bank_matches') }}
    where state in ('confirmed', 'explained')

),

posted as (

    select
        match_id,
        payment_id
    from {{ source('ledger', 'bank_payments') }}

),

payments as (

    select
        payment_id,
        status
    from {{ source('ledger', 'payments') }}

),

dismissals as (

    select
        line_id,
        said_by,
        reason
    from {{ source('ledger', 'bank_dismissals') }}
    where dismissed

),

-- What payments in Xero explained holds as long as they stand there; what people confirmed, until they take it back.
holding as (

    select
        matches.line_id,
        matches.statement_number,
        matches.amount,
        matches.said_by,
        matches.reason,
        matches.state = 'confirmed' and payments.payment_id is null as is_coming,
        coalesce(matches.state = 'confirmed' and payments.status != 'AUTHORISED', false) as is_taken_back
    from matches
    left join posted
        on matches.match_id = posted.match_id
    left join payments
        on coalesce(matches.payment_id, posted.payment_id) = payments.payment_id
    where matches.state = 'confirmed' or payments.status = 'AUTHORISED'

),

by_line as (

    select
        line_id,
        {{ listed('statement_number', ', ', 'statement_number') }} as statement_numbers,
        sum(amount) as matched_amount,
        sum(case when is_coming then amount else 0 end) as coming_amount,
        max(case when is_coming then 1 else 0 end) as has_coming,
        max(case when is_taken_back then 1 else 0 end) as has_taken_back,
        max_by(said_by, statement_number) as said_by,
        max_by(reason, statement_number) as reason
    from holding
    group by line_id

),

stated as (

    select
        lines.line_id,
        lines.account,
        lines.currency,
        lines.booked_on,
        lines.value_on,
        lines.amount,
        lines.counterparty_name,
        lines.counterparty_account,
        lines.remittance,
        lines.end_to_end_id,
        lines.bank_reference,
        lines.reversal,
        lines.file_name,
        lines.place,
        lines.imported_at,
        by_line.statement_numbers,
        by_line.matched_amount,
        by_line.coming_amount,
        coalesce(by_line.said_by, dismissals.said_by) as said_by,
        coalesce(by_line.reason, dismissals.reason) as reason,
        case
            when by_line.has_taken_back = 1 then 'taken_back'
            when by_line.has_coming = 1 then 'confirmed'
            when by_line.line_id is not null then 'explained'
            when dismissals.line_id is not null then 'dismissed'
            when lines.amount <= 0 and not lines.reversal then 'outgoing'
            else 'unexplained'
        end as state
    from lines
    left join by_line
        on lines.line_id = by_line.line_id
    left join dismissals
        on lines.line_id = dismissals.line_id

)

select
    line_id,
    account,
    currency,
    booked_on,
    value_on,
    amount,
    counterparty_name,
    counterparty_account,
    remittance,
    end_to_end_id,
    bank_reference,
    reversal,
    state,
    statement_numbers,
    cast(coalesce(matched_amount, 0) as decimal(18, 2)) as matched_amount,
    cast(
        case when state in ('dismissed', 'outgoing') or amount <= 0 then 0 else amount - coalesce(matched_amount, 0) end
        as decimal(18, 2)
    ) as rest_amount,
    cast(coalesce(coming_amount, 0) as decimal(18, 2)) as not_in_xero_amount,
    said_by,
    reason,
    file_name,
    place,
    imported_at
from stated
