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
from {{ source('book', 'reading_edits') }} as edits
order by edits.row_no
