with edits as (

    select
        site_id,
        meter_id,
        metric,
        from_at,
        to_at,
        action,
        quantity,
        reason,
        by,
        row_no
    from {{ source('book', 'reading_edits') }}

)

select
    edits.site_id,
    edits.meter_id,
    edits.metric,
    edits.from_at,
    edits.to_at,
    edits.action,
    edits.quantity,
    edits.reason,
    edits.by as decided_by
from edits
order by edits.row_no
