-- depends_on: {{ ref('int_metering__days') }}
with book_info as (

    select book_version
    from {{ source('book', 'book_info') }}

),

build_context as (

    select
        now_at,
        code_version,
        ledger_head
    from {{ source('context', 'build_context') }}

),

runs_done as (

    select
        max(run_no) as run_no,
        max_by(run_at, run_no) as run_at
    from {{ ref('int_metering__runs_done') }}

)

select
    book_info.book_version,
    build_context.code_version,
    cast(build_context.now_at as {{ instant_type() }}) as built_at,
    build_context.ledger_head,
    runs_done.run_no as usage_run_no,
    runs_done.run_at as usage_run_at
from book_info
cross join build_context
cross join runs_done
