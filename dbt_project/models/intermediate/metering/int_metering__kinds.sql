{{ config(materialized='in_hand', meta={'phase': 'days'}) }}

-- Rule 0: one kind a day. Of a meter's rows of one metric on one UTC day only the best kind present counts.
with series as (

    select
        series_no,
        meter_day_no,
        case kind when 'interval' then 1 when 'register' then 2 else 3 end as kind_rank
    from {{ ref('int_metering__series') }}

),

readings as (

    select
        series_no,
        impossible_kind
    from {{ ref('int_metering__readings') }}

),

tallies as (

    select
        series_no,
        count(*) as rows_landed,
        count(impossible_kind) as rows_impossible
    from readings
    group by series_no

),

best_kinds as (

    select
        series.meter_day_no,
        min(series.kind_rank) as kind_rank
    from series
    inner join tallies
        on series.series_no = tallies.series_no
    where tallies.rows_landed > tallies.rows_impossible
    group by series.meter_day_no

)

select
    series.series_no,
    tallies.rows_landed,
    tallies.rows_impossible,
    coalesce(series.kind_rank > best_kinds.kind_rank, false) as is_unused
from series
inner join tallies
    on series.series_no = tallies.series_no
left join best_kinds
    on series.meter_day_no = best_kinds.meter_day_no
