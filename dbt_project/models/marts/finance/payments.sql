with payments as (

    select
        payment_id,
        statement_number,
        amount,
        currency,
        paid_on,
        status,
        reference
    from {{ source('ledger', 'payments') }}

),

issued_statements as (

    select
        statement_number,
        statement_id,
        payer_id
    from {{ source('ledger', 'issued_statements') }}

)

select
    payments.payment_id,
    payments.statement_number,
    issued_statements.statement_id,
    issued_statements.payer_id,
    payments.amount,
    payments.currency,
    payments.paid_on,
    payments.status,
    payments.reference
from payments
left join issued_statements
    on payments.statement_number = issued_statements.statement_number
