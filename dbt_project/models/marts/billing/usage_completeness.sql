-- depends_on: {{ ref('int_metering__days') }}
{% set hour_us = '3600000000' %}
with sites as (

    select
        site_id,
        expected_interval_minutes
    from {{ source('book', 'sites') }}

),

placements as (

    select
        site_id,
        meter_id,
        machine_id,
        valid_from_at,
        valid_to_at
    from {{ source('book', 'placements') }}

),

placement_metrics as (

    select
        site_id,
        meter_id,
        machine_id,
        valid_from_at
    from {{ source('book', 'placement_metrics') }}
    where metric = 'energy'

),

landed_days as (

    select
        site_id,
        usage_date,
        last_possible_at
    from {{ ref('int_metering__landed_days') }}

),

runs as (

    select
        site_id,
        usage_date,
        meter_id,
        run_start,
        run_end
    from {{ ref('int_metering__runs') }}

),

wide_intervals as (

    select
        site_id,
        meter_id,
        interval_start,
        interval_end,
        {{ each_utc_day('interval_start', 'interval_end') }} as usage_date
    from {{ ref('int_metering__wide_intervals') }}
    where
        verdict = 'accepted'
        and metric = 'energy'

),

energy_placements as (

    select
        placements.site_id,
        placements.meter_id,
        placements.valid_from_at,
        placements.valid_to_at
    from placements
    inner join placement_metrics
        on
            placements.site_id = placement_metrics.site_id
            and placements.meter_id = placement_metrics.meter_id
            and placements.machine_id = placement_metrics.machine_id
            and placements.valid_from_at = placement_metrics.valid_from_at

),

landed_range as (

    select
        min(usage_date) as first_date,
        max(usage_date) as last_date
    from landed_days

),

-- A site is looked at from when it landed something or should have, whichever is earlier, but not before anything had landed anywhere.
beginnings as (

    select
        site_id,
        usage_date as first_date
    from landed_days
    union all
    select
        energy_placements.site_id,
        greatest({{ utc_date('energy_placements.valid_from_at') }}, landed_range.first_date) as first_date
    from energy_placements
    cross join landed_range
    where landed_range.first_date is not null

),

site_spans as (

    select
        beginnings.site_id,
        {{ utc_day_start('min(beginnings.first_date)') }} as span_start,
        {{ utc_day_start('max(landed_range.last_date) + 1') }} as span_end
    from beginnings
    cross join landed_range
    group by beginnings.site_id

),

site_dates as (

    select
        site_id,
        {{ each_utc_day('span_start', 'span_end') }} as usage_date
    from site_spans
    where span_start < span_end

),

site_days as (

    select
        site_id,
        usage_date,
        {{ utc_day_start('usage_date') }} as day_start,
        {{ utc_day_start('usage_date + 1') }} as day_end
    from site_dates

),

expected as (

    select
        site_days.site_id,
        site_days.usage_date,
        count(distinct energy_placements.meter_id) as meters,
        sum(
            {{ us('least(energy_placements.valid_to_at, site_days.day_end)') }}
            - {{ us('greatest(energy_placements.valid_from_at, site_days.day_start)') }}
        ) as expected_us
    from site_days
    inner join energy_placements
        on
            site_days.site_id = energy_placements.site_id
            and site_days.day_end > energy_placements.valid_from_at
            and (energy_placements.valid_to_at is null or site_days.day_start < energy_placements.valid_to_at)
    group by site_days.site_id, site_days.usage_date

),

covered as (

    select
        site_id,
        usage_date,
        meter_id,
        run_start as covered_from,
        run_end as covered_to
    from runs
    union all
    select
        site_id,
        usage_date,
        meter_id,
        greatest(interval_start, {{ utc_day_start('usage_date') }}) as covered_from,
        least(interval_end, {{ utc_day_start('usage_date + 1') }}) as covered_to
    from wide_intervals

),

-- Neither accepted intervals of a meter nor its placements overlap, so no time is counted twice.
received as (

    select
        covered.site_id,
        covered.usage_date,
        sum(
            {{ us('least(covered.covered_to, energy_placements.valid_to_at)') }}
            - {{ us('greatest(covered.covered_from, energy_placements.valid_from_at)') }}
        ) as received_us
    from covered
    inner join energy_placements
        on
            covered.site_id = energy_placements.site_id
            and covered.meter_id = energy_placements.meter_id
            and covered.covered_to > energy_placements.valid_from_at
            and (energy_placements.valid_to_at is null or covered.covered_from < energy_placements.valid_to_at)
    group by covered.site_id, covered.usage_date

),

compared as (

    select
        site_days.site_id,
        site_days.usage_date,
        sites.expected_interval_minutes,
        coalesce(expected.meters, 0) as meters,
        cast(coalesce(expected.expected_us, 0) as {{ whole_type() }}) as expected_us,
        cast(coalesce(received.received_us, 0) as {{ whole_type() }}) as received_us,
        landed_days.last_possible_at
    from site_days
    inner join sites
        on site_days.site_id = sites.site_id
    left join expected
        on
            site_days.site_id = expected.site_id
            and site_days.usage_date = expected.usage_date
    left join received
        on
            site_days.site_id = received.site_id
            and site_days.usage_date = received.usage_date
    left join landed_days
        on
            site_days.site_id = landed_days.site_id
            and site_days.usage_date = landed_days.usage_date

)

select
    site_id,
    usage_date,
    cast(expected_interval_minutes as integer) as expected_interval_minutes,
    meters,
    cast({{ divide_round('expected_us', 0, hour_us, 0, 9) }} as decimal(38, 9)) as expected_hours,
    cast({{ divide_round('received_us', 0, hour_us, 0, 9) }} as decimal(38, 9)) as received_hours,
    cast({{ whole_div('expected_us', 'expected_interval_minutes * cast(60000000 as ' ~ whole_type() ~ ')') }} as bigint) as expected_intervals,
    cast({{ whole_div('received_us', 'expected_interval_minutes * cast(60000000 as ' ~ whole_type() ~ ')') }} as bigint) as received_intervals,
    cast({{ divide_round('(expected_us - received_us)', 0, hour_us, 0, 9) }} as decimal(38, 9)) as missing_hours,
    cast(coalesce({{ divide_round('(expected_us - received_us)', 0, 'expected_us', 0, 6) }}, 0) as decimal(9, 6)) as missing_share,
    last_possible_at as last_reading_at,
    case
        when expected_us = received_us then 'complete'
        when received_us = 0 then 'nothing'
        else 'partial'
    end as status
from compared
