-- The stretches of time that accepted energy covers: inside days, and over their bounds.
with runs as (

    select
        site_id,
        meter_id,
        run_start,
        run_end,
        first_quantity,
        first_us,
        last_quantity,
        last_us
    from {{ ref('int_metering__runs') }}

),

wide_intervals as (

    select
        site_id,
        meter_id,
        interval_start,
        interval_end,
        quantity,
        {{ us('interval_end') }} - {{ us('interval_start') }} as span_us
    from {{ ref('int_metering__wide_intervals') }}
    where
        verdict = 'accepted'
        and metric = 'energy'

)

select
    site_id,
    meter_id,
    run_start as covered_from,
    run_end as covered_to,
    first_quantity,
    first_us,
    last_quantity,
    last_us
from runs
union all
select
    site_id,
    meter_id,
    interval_start as covered_from,
    interval_end as covered_to,
    quantity as first_quantity,
    span_us as first_us,
    quantity as last_quantity,
    span_us as last_us
from wide_intervals
