with intervals as (

    select
        site_id,
        metric,
        {{ utc_date('interval_start') }} as usage_date,
        quantity,
        verdict
    from {{ ref('int_metering__validated_intervals') }}

),

cuts as (

    select
        site_id,
        metric,
        {{ utc_date('interval_start') }} as usage_date,
        contract_id,
        is_estimated,
        quantity
    from {{ ref('int_metering__cuts') }}

),

fates as (

    select
        site_id,
        usage_metric,
        usage_date,
        kind,
        canonical_value,
        fate,
        fate_reason
    from {{ ref('int_metering__fates') }}

),

of_intervals as (

    select
        site_id,
        metric,
        usage_date,
        sum(case when verdict = 'accepted' then quantity else 0 end) as accepted,
        sum(case when verdict = 'accepted' then 0 else quantity end) as quarantined
    from intervals
    group by site_id, metric, usage_date

),

of_cuts as (

    select
        site_id,
        metric,
        usage_date,
        sum(case when not is_estimated and contract_id is not null then quantity else 0 end) as assigned,
        sum(case when not is_estimated and contract_id is null then quantity else 0 end) as unassigned,
        sum(case when is_estimated and contract_id is not null then quantity else 0 end) as estimated
    from cuts
    group by site_id, metric, usage_date

),

-- Impossible rows never became intervals of rule 4; those that came as intervals are quarantined with their quantity.
of_rows as (

    select
        site_id,
        usage_metric as metric,
        usage_date,
        sum(
            case when kind = 'interval' and fate_reason in ('future_reading', 'absurd_value') then canonical_value else 0 end
        ) as quarantined,
        count(*) as rows_landed,
        count(*) filter (where fate = 'accepted') as rows_accepted,
        count(*) filter (where fate = 'quarantined') as rows_quarantined,
        count(*) filter (where fate = 'rejected') as rows_rejected,
        count(*) filter (where fate = 'superseded') as rows_superseded,
        count(*) filter (where fate = 'unused_kind') as rows_unused_kind
    from fates
    group by site_id, usage_metric, usage_date

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
        0 as rows_landed,
        0 as rows_accepted,
        0 as rows_quarantined,
        0 as rows_rejected,
        0 as rows_superseded,
        0 as rows_unused_kind
    from of_intervals
    union all
    select
        site_id,
        metric,
        usage_date,
        0 as accepted,
        assigned,
        unassigned,
        estimated,
        0 as quarantined,
        0 as rows_landed,
        0 as rows_accepted,
        0 as rows_quarantined,
        0 as rows_rejected,
        0 as rows_superseded,
        0 as rows_unused_kind
    from of_cuts
    union all
    select
        site_id,
        metric,
        usage_date,
        0 as accepted,
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
    from of_rows

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
