with documents as (

    select
        statement_number,
        publish_state,
        problem,
        observed_at
    from {{ source('ledger', 'documents') }}
    where publish_state in ('drifted', 'conflict', 'quarantined')

),

issued_statements as (

    select
        statement_number,
        statement_id,
        period,
        payer_id
    from {{ source('ledger', 'issued_statements') }}

),

actions as (

    select
        exception_id,
        max_by(action, recorded_at) as action
    from {{ source('ledger', 'exception_actions') }}
    group by exception_id

),

-- The identity holds what is wrong: what somebody settled comes back as soon as it is something else. Publishing makes the same one.
named as (

    select
        'invoice_' || documents.publish_state as kind,
        issued_statements.period,
        issued_statements.payer_id,
        issued_statements.statement_id,
        documents.statement_number || ': ' || coalesce(documents.problem, documents.publish_state) as detail,
        documents.observed_at as first_seen,
        left(
            sha256(
                concat_ws(
                    '|',
                    'invoice_' || documents.publish_state,
                    documents.statement_number,
                    coalesce(documents.problem, '')
                )
            ),
            16
        ) as exception_id
    from documents
    inner join issued_statements
        on documents.statement_number = issued_statements.statement_number

)

select
    named.exception_id,
    named.kind,
    named.period,
    named.payer_id,
    named.statement_id,
    named.detail,
    named.first_seen,
    {{ exception_status('actions.action') }} as status
from named
left join actions
    on named.exception_id = actions.exception_id
