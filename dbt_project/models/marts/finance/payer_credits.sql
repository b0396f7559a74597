-- What is left of credit notes is negative in the ledger, as the notes are.
with documents as (

    select
        statement_number,
        document_type,
        status,
        total,
        amount_due,
        currency,
        date,
        observed_at
    from {{ source('ledger', 'documents') }}

),

issued_statements as (

    select
        statement_number,
        payer_id
    from {{ source('ledger', 'issued_statements') }}

),

paid as (

    select
        credit_id,
        kind,
        payer_id,
        currency,
        date,
        total,
        remaining,
        status,
        observed_at
    from {{ source('ledger', 'payer_credits') }}

),

combined as (

    select
        documents.statement_number as credit_id,
        'credit_note' as kind,
        issued_statements.payer_id,
        documents.currency,
        documents.date,
        -documents.total as total,
        case when documents.status = 'AUTHORISED' then -documents.amount_due else 0 end as remaining,
        documents.status,
        documents.observed_at
    from documents
    inner join issued_statements
        on documents.statement_number = issued_statements.statement_number
    where documents.document_type = 'ACCRECCREDIT' and documents.total is not null
    union all
    select
        credit_id,
        kind,
        payer_id,
        currency,
        date,
        total,
        remaining,
        status,
        observed_at
    from paid

)

select
    credit_id,
    kind,
    payer_id,
    currency,
    date as given_on,
    cast(total as decimal(18, 2)) as total,
    cast(remaining as decimal(18, 2)) as remaining,
    status,
    observed_at
from combined
