{{ config(materialized='kept', meta={'phase': 'days'}) }}

-- What gaps are found between: stretches of accepted energy inside a day, without a hole.
with interval_tallies as (

    select
        site_id,
        usage_date,
        meter_id,
        {{ us('covered_to') }} - {{ us('covered_from') }} = covered_us as is_one_run
    from {{ ref('int_metering__interval_tallies') }}
    where
        metric = 'energy'
        and intervals > 0

),

accepted as (

    select
        site_id,
        meter_id,
        interval_start,
        interval_end,
        quantity,
        {{ utc_date('interval_start') }} as usage_date
    from {{ ref('int_metering__validated_intervals') }}
    where
        metric = 'energy'
        and verdict = 'accepted'

),

-- Accepted intervals do not overlap, so those of a day that is covered from end to end are one run without being looked at in turn.
in_turn as (

    select
        accepted.site_id,
        accepted.usage_date,
        accepted.meter_id,
        accepted.interval_start,
        accepted.interval_end,
        accepted.quantity,
        case
            when lag(accepted.interval_end) over meter_in_time = accepted.interval_start then 0
            else 1
        end as begins_run
    from accepted
    inner join interval_tallies
        on
            accepted.site_id = interval_tallies.site_id
            and accepted.meter_id = interval_tallies.meter_id
            and accepted.usage_date = interval_tallies.usage_date
    where not interval_tallies.is_one_run
    window meter_in_time as (
        partition by accepted.site_id, accepted.meter_id, accepted.usage_date
        order by accepted.interval_start
    )

),

numbered as (

    select
        site_id,
        usage_date,
        meter_id,
        interval_start,
        interval_end,
        quantity,
        sum(begins_run) over (
            partition by site_id, meter_id, usage_date
            order by interval_start
            rows unbounded preceding
        ) as run_no
    from in_turn
    union all
    select
        accepted.site_id,
        accepted.usage_date,
        accepted.meter_id,
        accepted.interval_start,
        accepted.interval_end,
        accepted.quantity,
        1 as run_no
    from accepted
    inner join interval_tallies
        on
            accepted.site_id = interval_tallies.site_id
            and accepted.meter_id = interval_tallies.meter_id
            and accepted.usage_date = interval_tallies.usage_date
    where interval_tallies.is_one_run

)

select
    site_id,
    usage_date,
    meter_id,
    min(interval_start) as run_start,
    max(interval_end) as run_end,
    arg_min(quantity, interval_start) as first_quantity,
    arg_min({{ us('interval_end') }} - {{ us('interval_start') }}, interval_start) as first_us,
    arg_max(quantity, interval_start) as last_quantity,
    arg_max({{ us('interval_end') }} - {{ us('interval_start') }}, interval_start) as last_us
from numbered
group by site_id, usage_date, meter_id, run_no
order by site_id, meter_id, run_start
