{{ config(materialized='kept', meta={'phase': 'days'}) }}

with reading_tallies as (

    select
        site_id,
        usage_date,
        metric,
        meter_day_no,
        rows_landed,
        rows_impossible,
        rows_rejected,
        rows_superseded,
        rows_unused_kind,
        impossible_quantity
    from {{ ref('int_metering__reading_tallies') }}

),

used_tallies as (

    select
        meter_day_no,
        rows_used
    from {{ ref('int_metering__used_tallies') }}

),

interval_tallies as (

    select
        site_id,
        usage_date,
        metric,
        rows_quarantined,
        quarantined_quantity,
        accepted_quantity
    from {{ ref('int_metering__interval_tallies') }}

),

of_rows as (

    select
        reading_tallies.site_id,
        reading_tallies.usage_date,
        reading_tallies.metric,
        sum(reading_tallies.rows_landed) as rows_landed,
        coalesce(sum(used_tallies.rows_used), 0) as rows_used,
        sum(reading_tallies.rows_impossible) as rows_impossible,
        sum(reading_tallies.rows_rejected) as rows_rejected,
        sum(reading_tallies.rows_superseded) as rows_superseded,
        sum(reading_tallies.rows_unused_kind) as rows_unused_kind,
        sum(reading_tallies.impossible_quantity) as impossible_quantity
    from reading_tallies
    left join used_tallies
        on reading_tallies.meter_day_no = used_tallies.meter_day_no
    group by reading_tallies.site_id, reading_tallies.usage_date, reading_tallies.metric

),

of_intervals as (

    select
        site_id,
        usage_date,
        metric,
        sum(rows_quarantined) as rows_quarantined,
        sum(quarantined_quantity) as quarantined_quantity,
        sum(accepted_quantity) as accepted_quantity
    from interval_tallies
    group by site_id, usage_date, metric

)

select
    of_rows.site_id,
    of_rows.usage_date,
    of_rows.metric,
    cast(of_rows.rows_landed as bigint) as rows_landed,
    cast(of_rows.rows_used - coalesce(of_intervals.rows_quarantined, 0) as bigint) as rows_accepted,
    cast(of_rows.rows_impossible + coalesce(of_intervals.rows_quarantined, 0) as bigint) as rows_quarantined,
    cast(of_rows.rows_rejected as bigint) as rows_rejected,
    cast(of_rows.rows_superseded as bigint) as rows_superseded,
    cast(of_rows.rows_unused_kind as bigint) as rows_unused_kind,
    cast(coalesce(of_intervals.accepted_quantity, 0) as decimal(38, 9)) as accepted,
    cast(of_rows.impossible_quantity + coalesce(of_intervals.quarantined_quantity, 0) as decimal(38, 9)) as quarantined
from of_rows
left join of_intervals
    on
        of_rows.site_id = of_intervals.site_id
        and of_rows.usage_date = of_intervals.usage_date
        and of_rows.metric = of_intervals.metric
