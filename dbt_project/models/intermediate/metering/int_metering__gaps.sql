-- Rule 5: spans inside a placement that gives energy, without accepted energy of its meter.
with accepted as (

    select
        site_id,
        meter_id,
        interval_start,
        interval_end,
        quantity
    from {{ ref('int_metering__validated_intervals') }}
    where
        verdict = 'accepted'
        and metric = 'energy'

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

responsibilities as (

    select
        site_id,
        meter_id,
        machine_id,
        span_start,
        span_end,
        billing_timezone
    from {{ ref('int_metering__responsibilities') }}
    where contract_id is not null

),

zone_months as (

    select
        timezone,
        end_at
    from {{ source('book', 'zone_months') }}

),

readings as (

    select
        site_id,
        usage_date
    from {{ ref('int_metering__readings') }}
    where impossible_kind is null

),

landed as (

    select newest_landed_at
    from {{ ref('int_metering__range') }}

),

energy_placements as (

    select
        placements.site_id,
        placements.meter_id,
        placements.machine_id,
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

covered as (

    select
        energy_placements.site_id,
        energy_placements.meter_id,
        energy_placements.machine_id,
        energy_placements.valid_from_at,
        greatest(accepted.interval_start, energy_placements.valid_from_at) as covered_from,
        least(accepted.interval_end, coalesce(energy_placements.valid_to_at, accepted.interval_end)) as covered_to,
        accepted.quantity,
        {{ us('accepted.interval_end') }} - {{ us('accepted.interval_start') }} as interval_us
    from energy_placements
    inner join accepted
        on
            energy_placements.site_id = accepted.site_id
            and energy_placements.meter_id = accepted.meter_id
            and energy_placements.valid_from_at < accepted.interval_end
            and (energy_placements.valid_to_at is null or energy_placements.valid_to_at > accepted.interval_start)

),

covered_in_turn as (

    select
        site_id,
        meter_id,
        machine_id,
        valid_from_at,
        covered_from,
        coalesce(lag(covered_to) over placement_in_time, valid_from_at) as gap_start,
        lag(quantity) over placement_in_time as before_quantity,
        lag(interval_us) over placement_in_time as before_us,
        quantity as after_quantity,
        interval_us as after_us
    from covered
    window placement_in_time as (
        partition by site_id, meter_id, valid_from_at
        order by covered_from
    )

),

followed as (

    select
        site_id,
        meter_id,
        machine_id,
        valid_from_at,
        gap_start,
        covered_from as gap_end,
        before_quantity,
        before_us,
        after_quantity,
        after_us
    from covered_in_turn
    where gap_start < covered_from

),

covered_to_the_end as (

    select
        site_id,
        meter_id,
        valid_from_at,
        max(covered_to) as covered_to
    from covered
    group by site_id, meter_id, valid_from_at

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

last_landed_days as (

    select
        site_id,
        make_timestamptz(epoch_us(max(usage_date) + 1)) as day_end
    from readings
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

concerned_timezones as (

    select distinct
        not_followed.site_id,
        not_followed.meter_id,
        not_followed.machine_id,
        not_followed.valid_from_at,
        not_followed.valid_to_at,
        not_followed.gap_start,
        responsibilities.billing_timezone
    from not_followed
    inner join responsibilities
        on
            not_followed.site_id = responsibilities.site_id
            and not_followed.meter_id = responsibilities.meter_id
            and not_followed.gap_start < responsibilities.span_end
            and (not_followed.valid_to_at is null or not_followed.valid_to_at > responsibilities.span_start)

),

-- Contracts of one timezone share their last period that is over, so the gap stands once for each timezone.
with_horizon as (

    select
        concerned_timezones.site_id,
        concerned_timezones.meter_id,
        concerned_timezones.machine_id,
        concerned_timezones.valid_from_at,
        concerned_timezones.gap_start,
        concerned_timezones.valid_to_at,
        greatest(last_periods_over.period_end, last_landed_days.day_end) as horizon,
        concerned_timezones.billing_timezone
    from concerned_timezones
    left join last_periods_over
        on concerned_timezones.billing_timezone = last_periods_over.timezone
    left join last_landed_days
        on concerned_timezones.site_id = last_landed_days.site_id

),

ended as (

    select
        site_id,
        meter_id,
        machine_id,
        valid_from_at,
        gap_start,
        least(valid_to_at, horizon) as gap_end,
        billing_timezone
    from with_horizon
    where horizon is not null

)

select
    site_id,
    meter_id,
    machine_id,
    valid_from_at,
    gap_start,
    gap_end,
    cast(null as varchar) as billing_timezone,
    before_quantity,
    before_us,
    after_quantity,
    after_us
from followed
union all
select
    site_id,
    meter_id,
    machine_id,
    valid_from_at,
    gap_start,
    gap_end,
    billing_timezone,
    cast(null as decimal(38, 9)) as before_quantity,
    cast(null as bigint) as before_us,
    cast(null as decimal(38, 9)) as after_quantity,
    cast(null as bigint) as after_us
from ended
where gap_start < gap_end
