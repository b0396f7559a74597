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

)

select
    book_info.book_version,
    build_context.code_version,
    cast(build_context.now_at as timestamp with time zone) as built_at,
    build_context.ledger_head
from book_info
cross join build_context
