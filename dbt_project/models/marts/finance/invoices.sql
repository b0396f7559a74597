with issued_statements as (

    select
        statement_id,
        statement_number,
        period,
        payer_id,
        currency,
        total,
        issue_date,
        due_date
    from {{ source('ledger', 'issued_statements') }}

),

documents as (

    select
        statement_number,
        document_type,
        xero_id,
        status,
        publish_state,
        problem,
        amount_due,
        amount_paid,
        amount_credited,
        due_date,
        online_url,
        observed_at
    from {{ source('ledger', 'documents') }}

),

payments as (

    select
        statement_number,
        max(paid_on) as last_payment_on
    from {{ source('ledger', 'payments') }}
    where coalesce(status, '') != 'DELETED'
    group by statement_number

)

select
    issued_statements.statement_id,
    issued_statements.statement_number,
    issued_statements.period,
    issued_statements.payer_id,
    issued_statements.currency,
    issued_statements.total,
    coalesce(documents.document_type, case when issued_statements.total < 0 then 'ACCRECCREDIT' else 'ACCREC' end) as document_type,
    documents.xero_id,
    documents.status as xero_status,
    coalesce(documents.publish_state, 'not_published') as publish_state,
    documents.problem,
    cast(coalesce(documents.amount_due, greatest(issued_statements.total, 0)) as decimal(18, 2)) as amount_due,
    cast(coalesce(documents.amount_paid, 0) as decimal(18, 2)) as amount_paid,
    cast(coalesce(documents.amount_credited, 0) as decimal(18, 2)) as amount_credited,
    issued_statements.issue_date,
    coalesce(documents.due_date, issued_statements.due_date) as due_date,
    documents.online_url,
    payments.last_payment_on,
    documents.observed_at
from issued_statements
left join documents
    on issued_statements.statement_number = documents.statement_number
left join payments
    on issued_statements.statement_number = payments.statement_number
