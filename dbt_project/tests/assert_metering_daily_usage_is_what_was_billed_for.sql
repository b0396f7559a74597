-- The days of usage add up to what was assigned, to what nobody owned and to what was estimated, per site and metric.
with usage_daily as (

    select
        site_id,
        metric,
        contract_id,
        metered_quantity,
        estimated_quantity
    from {{ ref('usage_daily') }}

),

usage_reconciliation as (

    select
        site_id,
        metric,
        assigned,
        unassigned,
        estimated
    from {{ ref('usage_reconciliation') }}

),

of_days as (

    select
        site_id,
        metric,
        sum(case when contract_id is null then 0 else metered_quantity end) as assigned,
        sum(case when contract_id is null then metered_quantity else 0 end) as unassigned,
        sum(estimated_quantity) as estimated
    from usage_daily
    group by site_id, metric

),

of_rows as (

    select
        site_id,
        metric,
        sum(assigned) as assigned,
        sum(unassigned) as unassigned,
        sum(estimated) as estimated
    from usage_reconciliation
    group by site_id, metric

)

select
    of_rows.site_id,
    of_rows.metric,
    of_rows.assigned,
    of_days.assigned as assigned_by_day,
    of_rows.unassigned,
    of_days.unassigned as unassigned_by_day,
    of_rows.estimated,
    of_days.estimated as estimated_by_day
from of_rows
left join of_days
    on
        of_rows.site_id = of_days.site_id
        and of_rows.metric = of_days.metric
where
    of_rows.assigned != coalesce(of_days.assigned, 0)
    or of_rows.unassigned != coalesce(of_days.unassigned, 0)
    or of_rows.estimated != coalesce(of_days.estimated, 0)
