-- Every landed row is accepted, quarantined, rejected, superseded or of an unused kind, and only one of them.
with usage_reconciliation as (

    select
        site_id,
        metric,
        usage_date,
        rows_landed,
        rows_accepted + rows_quarantined + rows_rejected + rows_superseded + rows_unused_kind as rows_with_fate
    from {{ ref('usage_reconciliation') }}

)

select
    site_id,
    metric,
    usage_date,
    rows_landed,
    rows_with_fate
from usage_reconciliation
where rows_landed != rows_with_fate
