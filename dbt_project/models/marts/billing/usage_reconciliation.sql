-- depends_on: {{ ref('int_metering__days') }}
with day_totals as (

    select
        site_id,
        usage_date,
        metric,
        rows_landed,
        rows_accepted,
        rows_quarantined,
        rows_rejected,
        rows_superseded,
        rows_unused_kind,
        accepted,
        quarantined
    from {{ ref('int_metering__day_totals') }}

),

day_shares as (

    select
        site_id,
        usage_date,
        metric,
        assigned,
        unassigned
    from {{ ref('int_metering__day_shares') }}

),

wide_intervals as (

    select
        site_id,
        metric,
        origin,
        {{ utc_date('interval_start') }} as usage_date,
        quantity,
        verdict
    from {{ ref('int_metering__wide_intervals') }}
    where verdict != 'register_reset'

),

pieces as (

    select
        site_id,
        metric,
        {{ utc_date('interval_start') }} as usage_date,
        contract_id,
        is_estimated,
        quantity
    from {{ ref('int_metering__pieces') }}

),

combined as (

    select
        site_id,
        metric,
        usage_date,
        accepted,
        0 as assigned,
        0 as unassigned,
        0 as estimated,
        quarantined,
        rows_landed,
        rows_accepted,
        rows_quarantined,
        rows_rejected,
        rows_superseded,
        rows_unused_kind
    from day_totals
    union all
    select
        site_id,
        metric,
        usage_date,
        0 as accepted,
        assigned,
        unassigned,
        0 as estimated,
        0 as quarantined,
        0 as rows_landed,
        0 as rows_accepted,
        0 as rows_quarantined,
        0 as rows_rejected,
        0 as rows_superseded,
        0 as rows_unused_kind
    from day_shares
    union all
    -- The row with which an interval begins is counted on its day already, as accepted.
    select
        site_id,
        metric,
        usage_date,
        case when verdict = 'accepted' then quantity else 0 end as accepted,
        0 as assigned,
        0 as unassigned,
        0 as estimated,
        case when verdict = 'accepted' then 0 else quantity end as quarantined,
        0 as rows_landed,
        case when verdict != 'accepted' and origin != 'set' then -1 else 0 end as rows_accepted,
        case when verdict != 'accepted' and origin != 'set' then 1 else 0 end as rows_quarantined,
        0 as rows_rejected,
        0 as rows_superseded,
        0 as rows_unused_kind
    from wide_intervals
    union all
    select
        site_id,
        metric,
        usage_date,
        0 as accepted,
        case when not is_estimated and contract_id is not null then quantity else 0 end as assigned,
        case when not is_estimated and contract_id is null then quantity else 0 end as unassigned,
        case when is_estimated then quantity else 0 end as estimated,
        0 as quarantined,
        0 as rows_landed,
        0 as rows_accepted,
        0 as rows_quarantined,
        0 as rows_rejected,
        0 as rows_superseded,
        0 as rows_unused_kind
    from pieces

),

summed as (

    select
        site_id,
        metric,
        usage_date,
        cast(sum(accepted) as decimal(38, 9)) as accepted,
        cast(sum(assigned) as decimal(38, 9)) as assigned,
        cast(sum(unassigned) as decimal(38, 9)) as unassigned,
        cast(sum(estimated) as decimal(38, 9)) as estimated,
        cast(sum(quarantined) as decimal(38, 9)) as quarantined,
        cast(sum(rows_landed) as bigint) as rows_landed,
        cast(sum(rows_accepted) as bigint) as rows_accepted,
        cast(sum(rows_quarantined) as bigint) as rows_quarantined,
        cast(sum(rows_rejected) as bigint) as rows_rejected,
        cast(sum(rows_superseded) as bigint) as rows_superseded,
        cast(sum(rows_unused_kind) as bigint) as rows_unused_kind
    from combined
    group by site_id, metric, usage_date

)

-- A day that holds nothing but an estimate nobody pays for has nothing to reconcile.
select
    site_id,
    metric,
    usage_date,
    accepted,
    assigned,
    unassigned,
    estimated,
    quarantined,
    rows_landed,
    rows_accepted,
    rows_quarantined,
    rows_rejected,
    rows_superseded,
    rows_unused_kind
from summed
where
    rows_landed > 0
    or accepted != 0
    or estimated != 0
