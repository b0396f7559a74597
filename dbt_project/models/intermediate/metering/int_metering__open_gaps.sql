{{ config(materialized='in_hand', meta={'phase': 'spans'}) }}

-- Rule 5, the gaps that no readings follow: all of them in every run, as they grow with what has landed anywhere.
with covered as (

    select
        site_id,
        meter_id,
        covered_from,
        covered_to
    from {{ ref('int_metering__covered') }}

),

energy_placements as (

    select
        site_id,
        meter_id,
        machine_id,
        valid_from_at,
        valid_to_at
    from {{ ref('int_metering__energy_placements') }}

),

contract_spans as (

    select
        site_id,
        meter_id,
        billing_timezone,
        span_start,
        span_end
    from {{ ref('int_metering__contract_spans') }}

),

zone_months as (

    select
        timezone,
        end_at
    from {{ source('book', 'zone_months') }}

),

landed_days as (

    select
        site_id,
        usage_date
    from {{ ref('int_metering__landed_days') }}

),

landed as (

    select newest_landed_at
    from {{ ref('int_metering__landed') }}

),

covered_to_the_end as (

    select
        energy_placements.site_id,
        energy_placements.meter_id,
        energy_placements.valid_from_at,
        max(least(covered.covered_to, energy_placements.valid_to_at)) as covered_to
    from energy_placements
    inner join covered
        on
            energy_placements.site_id = covered.site_id
            and energy_placements.meter_id = covered.meter_id
            and energy_placements.valid_from_at < covered.covered_to
            and (energy_placements.valid_to_at is null or energy_placements.valid_to_at > covered.covered_from)
    group by energy_placements.site_id, energy_placements.meter_id, energy_placements.valid_from_at

),

last_landed_days as (

    select
        site_id,
        {{ utc_day_start('max(usage_date) + 1') }} as day_end
    from landed_days
    group by site_id

),

last_periods_over as (

    select
        zone_months.timezone,
        max(zone_months.end_at) as period_end
    from zone_months
    inner join landed
        on zone_months.end_at <= landed.newest_landed_at
    group by zone_months.timezone

),

not_followed as (

    select
        energy_placements.site_id,
        energy_placements.meter_id,
        energy_placements.machine_id,
        energy_placements.valid_from_at,
        energy_placements.valid_to_at,
        coalesce(covered_to_the_end.covered_to, energy_placements.valid_from_at) as gap_start
    from energy_placements
    left join covered_to_the_end
        on
            energy_placements.site_id = covered_to_the_end.site_id
            and energy_placements.meter_id = covered_to_the_end.meter_id
            and energy_placements.valid_from_at = covered_to_the_end.valid_from_at
    where
        energy_placements.valid_to_at is null
        or covered_to_the_end.covered_to is null
        or covered_to_the_end.covered_to < energy_placements.valid_to_at

),

concerned_timezones as (

    select distinct
        not_followed.site_id,
        not_followed.meter_id,
        not_followed.machine_id,
        not_followed.valid_from_at,
        not_followed.valid_to_at,
        not_followed.gap_start,
        contract_spans.billing_timezone
    from not_followed
    inner join contract_spans
        on
            not_followed.site_id = contract_spans.site_id
            and not_followed.meter_id = contract_spans.meter_id
            and (contract_spans.span_end is null or not_followed.gap_start < contract_spans.span_end)
            and (not_followed.valid_to_at is null or not_followed.valid_to_at > contract_spans.span_start)

),

-- Contracts of one timezone share their last period that is over, so the gap stands once for each timezone.
ended as (

    select
        concerned_timezones.site_id,
        concerned_timezones.meter_id,
        concerned_timezones.machine_id,
        concerned_timezones.valid_from_at,
        concerned_timezones.gap_start,
        least(
            concerned_timezones.valid_to_at, greatest(last_periods_over.period_end, last_landed_days.day_end)
        ) as gap_end,
        concerned_timezones.billing_timezone
    from concerned_timezones
    left join last_periods_over
        on concerned_timezones.billing_timezone = last_periods_over.timezone
    left join last_landed_days
        on concerned_timezones.site_id = last_landed_days.site_id
    where
        last_periods_over.period_end is not null
        or last_landed_days.day_end is not null

)

select
    site_id,
    meter_id,
    machine_id,
    valid_from_at,
    gap_start,
    gap_end,
    billing_timezone
from ended
where gap_start < gap_end
