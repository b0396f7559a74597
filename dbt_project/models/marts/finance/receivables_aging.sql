with invoices as (

    select
        payer_id,
        currency,
        document_type,
        amount_due,
        due_date
    from {{ ref('invoices') }}

),

build_context as (

    select {{ utc_date('now_at') }} as as_of
    from {{ source('context', 'build_context') }}

),

open_items as (

    select
        invoices.payer_id,
        invoices.currency,
        build_context.as_of,
        invoices.amount_due,
        invoices.due_date,
        build_context.as_of - invoices.due_date as days_overdue
    from invoices
    cross join build_context
    where invoices.document_type = 'ACCREC' and invoices.amount_due > 0

)

select
    payer_id,
    currency,
    as_of,
    cast(count(*) as integer) as open_invoices,
    cast(count(*) filter (where days_overdue > 0) as integer) as overdue_invoices,
    cast(coalesce(sum(amount_due) filter (where days_overdue <= 0), 0) as decimal(18, 2)) as not_due,
    cast(coalesce(sum(amount_due) filter (where days_overdue between 1 and 30), 0) as decimal(18, 2)) as overdue_1_30,
    cast(coalesce(sum(amount_due) filter (where days_overdue between 31 and 60), 0) as decimal(18, 2)) as overdue_31_60,
    cast(coalesce(sum(amount_due) filter (where days_overdue between 61 and 90), 0) as decimal(18, 2)) as overdue_61_90,
    cast(coalesce(sum(amount_due) filter (where days_overdue > 90), 0) as decimal(18, 2)) as overdue_over_90,
    cast(coalesce(sum(amount_due) filter (where days_overdue > 0), 0) as decimal(18, 2)) as overdue,
    cast(sum(amount_due) as decimal(18, 2)) as total,
    min(due_date) as oldest_due_date
from open_items
group by payer_id, currency, as_of
