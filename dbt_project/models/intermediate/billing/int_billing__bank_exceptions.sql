with lines as (

    select
        line_id,
        state,
        booked_on,
        amount,
        currency,
        counterparty_name,
        remittance,
        imported_at
    from {{ ref('int_billing__bank_lines') }}
    where state in ('unexplained', 'taken_back')

),

actions as (

    select
        exception_id,
        max_by(action, recorded_at) as action
    from {{ source('ledger', 'exception_actions') }}
    group by exception_id

),

named as (

    select
        left(sha256('unexplained_bank_line|' || line_id), 16) as exception_id,
        'unexplained_bank_line' as kind,
        left(cast(booked_on as string), 7) as period,
        booked_on as day,
        line_id || ': ' || currency || ' ' || cast(amount as string) || ' on ' || cast(booked_on as string)
        || coalesce(' from ' || counterparty_name, '')
        || coalesce(', "' || replace(remittance, chr(10), ' ') || '"', '')
        || case state
            when 'taken_back' then ': the payment made for it was deleted in Xero'
            else ': for no statement that is known'
        end as detail,
        imported_at as first_seen
    from lines

)

select
    named.exception_id,
    named.kind,
    named.period,
    named.day,
    named.detail,
    named.first_seen,
    {{ exception_status('actions.action') }} as status
from named
left join actions
    on named.exception_id = actions.exception_id
