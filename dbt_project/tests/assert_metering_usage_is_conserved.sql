-- Accepted usage is what was assigned and what was not, on every day to the last decimal.
with usage_reconciliation as (

    select
        site_id,
        metric,
        usage_date,
        accepted,
        assigned,
        unassigned
    from {{ ref('usage_reconciliation') }}

)

select
    site_id,
    metric,
    usage_date,
    accepted,
    assigned,
    unassigned,
    accepted - assigned - unassigned as lost
from usage_reconciliation
where accepted != assigned + unassigned
