-- What the marts show of an issued statement is what the ledger froze, to the cent.
with statements as (

    select
        statement_id,
        net,
        tax,
        total,
        content_hash
    from {{ ref('statements') }}

),

issued_statements as (

    select
        statement_id,
        net,
        tax,
        total,
        content_hash
    from {{ source('ledger', 'issued_statements') }}

)

select
    issued_statements.statement_id,
    issued_statements.total,
    statements.total as total_found
from issued_statements
left join statements
    on issued_statements.statement_id = statements.statement_id
where
    statements.net is distinct from issued_statements.net
    or statements.tax is distinct from issued_statements.tax
    or statements.total is distinct from issued_statements.total
    or statements.content_hash is distinct from issued_statements.content_hash
