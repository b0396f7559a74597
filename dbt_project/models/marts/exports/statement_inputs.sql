-- depends_on: {{ ref('int_metering__days') }}
with statement_lines as (

    select distinct
        statement_id,
        payer_id,
        contract_id
    from {{ ref('int_billing__statement_lines') }}
    where not is_issued

),

inputs as (

    select
        contract_id,
        period,
        book_digest,
        readings_digest
    from {{ ref('int_rating__inputs') }}

),

issued_inputs as (

    select
        statement_number,
        contract_id,
        period,
        book_digest,
        readings_digest
    from {{ source('ledger', 'issued_inputs') }}

),

issued_statements as (

    select
        statement_number,
        statement_id,
        payer_id,
        issued_at
    from {{ source('ledger', 'issued_statements') }}

),

-- The last word of a payer's statements of one group about a contract's month.
noted as (

    select
        issued_statements.payer_id,
        split_part(issued_statements.statement_id, '/', 3) as statement_group,
        issued_inputs.contract_id,
        issued_inputs.period,
        issued_inputs.book_digest,
        issued_inputs.readings_digest
    from issued_inputs
    inner join issued_statements
        on issued_inputs.statement_number = issued_statements.statement_number
    qualify row_number() over (
        partition by
            issued_statements.payer_id,
            split_part(issued_statements.statement_id, '/', 3),
            issued_inputs.contract_id,
            issued_inputs.period
        order by issued_statements.issued_at desc, issued_statements.statement_number desc
    ) = 1

)

-- A statement takes account of every month up to its own, whether or not that changed a line.
select
    statement_lines.statement_id,
    statement_lines.contract_id,
    inputs.period,
    inputs.book_digest,
    inputs.readings_digest
from statement_lines
inner join inputs
    on
        statement_lines.contract_id = inputs.contract_id
        and split_part(statement_lines.statement_id, '/', 2) >= inputs.period
left join noted
    on
        statement_lines.payer_id = noted.payer_id
        and split_part(statement_lines.statement_id, '/', 3) = noted.statement_group
        and statement_lines.contract_id = noted.contract_id
        and inputs.period = noted.period
where
    noted.contract_id is null
    or inputs.book_digest != noted.book_digest
    or inputs.readings_digest != noted.readings_digest
order by statement_lines.statement_id, statement_lines.contract_id, inputs.period
