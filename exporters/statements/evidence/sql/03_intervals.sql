-- Step 3. Intervals: what was used from when to when, and which of them are accepted.
-- Quantities are whole numbers of 10^-9 kWh (hours, GB, litres): the column nano. A quotient is rounded to the nearest whole
-- number as (2 × dividend + divisor) // (2 × divisor), where // drops what is left over.
create or replace table intervals as
with used as (
    select * from readings
    where fate = 'used'
),

-- Two registers (or samples) in a row, with nothing of another kind between them, make an interval.
in_turn as (
    select
        *,
        lead(kind) over meter_in_time as next_kind,
        lead(interval_start) over meter_in_time as next_start,
        lead(parts) over meter_in_time as next_parts
    from used
    window meter_in_time as (partition by site_id, meter_id, usage_metric order by interval_start, interval_end)
),

made as (
    select
        site_id,
        meter_id,
        usage_metric as metric,
        'interval' as origin,
        interval_start,
        interval_end,
        sign(parts) * ((2 * abs(parts) + parts_of_one) // (2 * parts_of_one)) as nano,
        is_spike_allowed
    from used
    where kind = 'interval'
    union all
    -- A register counts up: the difference is the usage. One that fell was reset and says nothing.
    select
        site_id,
        meter_id,
        usage_metric,
        'register',
        interval_start,
        next_start,
        (2 * (next_parts - parts) + parts_of_one) // (2 * parts_of_one),
        is_spike_allowed
    from in_turn
    where kind = 'register' and next_kind = 'register' and next_parts >= parts
    union all
    -- Samples of power at most 15 minutes apart: their mean × the time between them.
    select
        site_id,
        meter_id,
        usage_metric,
        'gauge',
        interval_start,
        next_start,
        sign(parts + next_parts) * (
            (2 * abs(parts + next_parts) * (epoch_us(next_start) - epoch_us(interval_start)) + 2 * 3600000000 * parts_of_one)
            // (2 * 2 * 3600000000 * parts_of_one)
        ),
        is_spike_allowed
    from in_turn
    where kind = 'gauge' and next_kind = 'gauge' and next_start <= interval_start + interval 15 minute
    union all
    -- What a person set stands as it is.
    select
        site_id,
        meter_id,
        metric,
        'set',
        from_at,
        to_at,
        cast(quantity * 1000000000 as hugeint),
        true
    from 'data/reading_edits.parquet'
    where action = 'set'
),

-- Intervals of a meter that overlap in time: none of them counts. Those below zero are out before.
compared as (
    select
        *,
        max(interval_end) over (
            partition by site_id, meter_id, metric, nano < 0 and origin != 'set'
            order by interval_start, interval_end, origin
            rows between unbounded preceding and 1 preceding
        ) as earlier_end,
        lead(interval_start) over (
            partition by site_id, meter_id, metric, nano < 0 and origin != 'set'
            order by interval_start, interval_end, origin
        ) as later_start
    from made
),

-- The first machine on the meter that an interval meets, and what it is rated for.
placed as (
    select
        compared.*,
        placements.machine_id as first_machine_id,
        coalesce(placements.rated_kw, sites.default_rated_kw) as rated_kw
    from compared
    left join 'data/placements.parquet' as placements
        on
            compared.site_id = placements.site_id
            and compared.meter_id = placements.meter_id
            and compared.interval_end > placements.valid_from_at
            and (placements.valid_to_at is null or compared.interval_start < placements.valid_to_at)
    left join 'data/sites.parquet' as sites
        on placements.site_id = sites.site_id
    qualify row_number() over (
        partition by compared.site_id, compared.meter_id, compared.metric, compared.origin,
            compared.interval_start, compared.interval_end
        order by placements.valid_from_at
    ) = 1
)

select
    site_id,
    meter_id,
    metric,
    origin,
    interval_start,
    interval_end,
    nano,
    case
        when origin = 'set' then 'accepted'
        when nano < 0 then 'negative_quantity'
        when coalesce(earlier_end > interval_start, false) or coalesce(later_start < interval_end, false) then 'overlapping_intervals'
        -- more than 1.5 × rated kW × hours; both sides × 7,200,000,000, so that nothing is divided
        when
            metric = 'energy' and not is_spike_allowed
            and nano * 7200000000
            > cast(rated_kw * 1000000000 as hugeint) * 3 * (epoch_us(interval_end) - epoch_us(interval_start))
            then 'spike'
        when first_machine_id is null then 'unknown_meter'
        else 'accepted'
    end as verdict
from placed;

select site_id, metric, origin, verdict, count(*) as intervals, cast(sum(nano) as decimal(38, 0)) * 0.000000001 as quantity
from intervals
group by site_id, metric, origin, verdict
order by site_id, metric, origin, verdict;
