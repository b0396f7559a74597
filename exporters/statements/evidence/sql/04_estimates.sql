-- Step 4. Estimates. A gap is a span in which a machine stood on a meter of energy without accepted energy. The site's policy in
-- sites.parquet says how it is filled: `interpolate` fills gaps of at most two hours between two accepted intervals at the mean of
-- their powers; `like_day` then fills every clock hour of what is left with the mean of the same hour 7, 14, 21 and 28 days before,
-- if at least two of these were measured whole.
create or replace table gaps as
with covered as (
    select
        placements.site_id,
        placements.meter_id,
        placements.machine_id,
        placements.valid_from_at,
        greatest(intervals.interval_start, placements.valid_from_at) as covered_from,
        least(intervals.interval_end, placements.valid_to_at) as covered_to,
        intervals.nano,
        epoch_us(intervals.interval_end) - epoch_us(intervals.interval_start) as whole_us
    from 'data/placements.parquet' as placements
    inner join intervals
        on
            placements.site_id = intervals.site_id
            and placements.meter_id = intervals.meter_id
            and placements.valid_from_at < intervals.interval_end
            and (placements.valid_to_at is null or placements.valid_to_at > intervals.interval_start)
    where
        intervals.verdict = 'accepted' and intervals.metric = 'energy'
        and list_contains(string_split(placements.metrics, '|'), 'energy')
),

-- Gaps that readings follow.
followed as (
    select
        site_id,
        meter_id,
        machine_id,
        cast(null as varchar) as billing_timezone,
        coalesce(lag(covered_to) over placement_in_time, valid_from_at) as gap_start,
        covered_from as gap_end,
        lag(nano) over placement_in_time as before_nano,
        lag(whole_us) over placement_in_time as before_us,
        nano as after_nano,
        whole_us as after_us
    from covered
    window placement_in_time as (partition by site_id, meter_id, valid_from_at order by covered_from)
),

last_covered as (
    select
        placements.site_id,
        placements.meter_id,
        placements.machine_id,
        placements.valid_to_at,
        coalesce(max(covered.covered_to), placements.valid_from_at) as gap_start
    from 'data/placements.parquet' as placements
    left join covered
        on
            placements.site_id = covered.site_id
            and placements.meter_id = covered.meter_id
            and placements.valid_from_at = covered.valid_from_at
    where list_contains(string_split(placements.metrics, '|'), 'energy')
    group by
        placements.site_id, placements.meter_id, placements.machine_id, placements.valid_from_at, placements.valid_to_at
),

-- Gaps that none follow end with the last month that is over on the contract's clock, or with the last day landed of the site.
open_ended as (
    select distinct
        last_covered.site_id,
        last_covered.meter_id,
        last_covered.machine_id,
        clocks.timezone as billing_timezone,
        last_covered.gap_start,
        least(last_covered.valid_to_at, greatest(clocks.last_month_end, landing.last_landed_day_end)) as gap_end,
        cast(null as hugeint) as before_nano,
        cast(null as bigint) as before_us,
        cast(null as hugeint) as after_nano,
        cast(null as bigint) as after_us
    from last_covered
    inner join 'data/landing.parquet' as landing
        on last_covered.site_id = landing.site_id
    cross join 'data/clocks.parquet' as clocks
)

-- Only gaps in what is billed.
select found.*
from (
    select * from followed
    union all
    select * from open_ended
) as found
where
    found.gap_start < found.gap_end
    and exists (
        select 1 from billed_spans
        where
            billed_spans.site_id = found.site_id
            and billed_spans.meter_id = found.meter_id
            and billed_spans.span_start < found.gap_end
            and billed_spans.span_end > found.gap_start
    );

create or replace table interpolated as
select
    gaps.site_id,
    gaps.meter_id,
    gaps.gap_start,
    gaps.gap_end,
    (
        2 * (before_nano * after_us + after_nano * before_us) * (epoch_us(gap_end) - epoch_us(gap_start))
        + 2 * cast(before_us as hugeint) * after_us
    ) // (2 * 2 * cast(before_us as hugeint) * after_us) as nano
from gaps
inner join 'data/sites.parquet' as sites
    on gaps.site_id = sites.site_id
where
    sites.estimation in ('interpolate', 'like_day')
    and gaps.before_us is not null
    and gaps.after_us is not null
    and gaps.gap_end <= gaps.gap_start + interval 2 hour;

-- The clock hours that interpolation leaves. hour_no counts the hours of the local clock since 1970: the same hour a week before
-- is hour_no - 168.
create or replace table gap_hours as
with left_over as (
    select
        gaps.site_id,
        gaps.meter_id,
        gaps.machine_id,
        gaps.billing_timezone,
        zones.timezone,
        zones.utc_offset_seconds * 1000000 as offset_us,
        epoch_us(greatest(gaps.gap_start, zones.from_at)) as from_us,
        epoch_us(least(gaps.gap_end, zones.to_at)) as to_us
    from gaps
    inner join 'data/sites.parquet' as sites
        on gaps.site_id = sites.site_id and sites.estimation = 'like_day'
    inner join 'data/time_zones.parquet' as zones
        on sites.timezone = zones.timezone and gaps.gap_start < zones.to_at and gaps.gap_end > zones.from_at
    where not exists (
        select 1 from interpolated
        where
            interpolated.site_id = gaps.site_id
            and interpolated.meter_id = gaps.meter_id
            and interpolated.gap_start = gaps.gap_start
    )
),

numbered as (
    select
        *,
        unnest(range((from_us + offset_us) // 3600000000, (to_us + offset_us - 1) // 3600000000 + 1)) as hour_no
    from left_over
)

select
    site_id,
    meter_id,
    machine_id,
    billing_timezone,
    timezone,
    hour_no,
    make_timestamp(greatest(from_us, hour_no * 3600000000 - offset_us)) as part_start,
    make_timestamp(least(to_us, (hour_no + 1) * 3600000000 - offset_us)) as part_end
from numbered
where exists (
    select 1 from billed_spans
    where
        billed_spans.site_id = numbered.site_id
        and billed_spans.meter_id = numbered.meter_id
        and epoch_us(billed_spans.span_start) < (numbered.hour_no + 1) * 3600000000 - numbered.offset_us
        and epoch_us(billed_spans.span_end) > numbered.hour_no * 3600000000 - numbered.offset_us
);

-- What was measured in those hours of earlier weeks, if every moment of the hour was.
create or replace table model_hours as
with wanted as (
    select distinct
        site_id,
        meter_id,
        machine_id,
        timezone,
        hour_no - weeks.weeks * 168 as hour_no
    from gap_hours
    cross join (values (1), (2), (3), (4)) as weeks (weeks)
),

-- An hour that the clocks skipped is not there, one that was lived twice is there twice.
lived as (
    select
        wanted.*,
        make_timestamp(wanted.hour_no * 3600000000 - zones.utc_offset_seconds * 1000000) as hour_start,
        make_timestamp((wanted.hour_no + 1) * 3600000000 - zones.utc_offset_seconds * 1000000) as hour_end
    from wanted
    inner join 'data/time_zones.parquet' as zones
        on
            wanted.timezone = zones.timezone
            and wanted.hour_no * 3600000000 - zones.utc_offset_seconds * 1000000 >= epoch_us(zones.from_at)
            and (wanted.hour_no + 1) * 3600000000 - zones.utc_offset_seconds * 1000000 <= epoch_us(zones.to_at)
),

parts as (
    select
        lived.site_id,
        lived.meter_id,
        lived.machine_id,
        lived.hour_no,
        lived.hour_start,
        intervals.nano,
        epoch_us(greatest(lived.hour_start, intervals.interval_start, placements.valid_from_at))
        - epoch_us(intervals.interval_start) as from_us,
        epoch_us(least(lived.hour_end, intervals.interval_end, placements.valid_to_at))
        - epoch_us(intervals.interval_start) as to_us,
        epoch_us(intervals.interval_end) - epoch_us(intervals.interval_start) as whole_us
    from lived
    inner join intervals
        on
            lived.site_id = intervals.site_id
            and lived.meter_id = intervals.meter_id
            and lived.hour_start < intervals.interval_end
            and lived.hour_end > intervals.interval_start
    inner join 'data/placements.parquet' as placements
        on
            lived.site_id = placements.site_id
            and lived.meter_id = placements.meter_id
            and lived.machine_id = placements.machine_id
    where intervals.verdict = 'accepted' and intervals.metric = 'energy'
)

select
    site_id,
    meter_id,
    machine_id,
    hour_no,
    hour_start,
    sum((2 * nano * to_us + whole_us) // (2 * whole_us) - (2 * nano * from_us + whole_us) // (2 * whole_us)) as nano
from parts
where from_us < to_us
group by site_id, meter_id, machine_id, hour_no, hour_start
having sum(to_us - from_us) = 3600000000;

create or replace table estimates as
with alike as (
    select
        gap_hours.site_id,
        gap_hours.meter_id,
        gap_hours.billing_timezone,
        gap_hours.part_start,
        gap_hours.part_end,
        count(*) as hours,
        sum(model_hours.nano) as hours_nano
    from gap_hours
    inner join model_hours
        on
            gap_hours.site_id = model_hours.site_id
            and gap_hours.meter_id = model_hours.meter_id
            and gap_hours.machine_id = model_hours.machine_id
            and gap_hours.hour_no - model_hours.hour_no in (168, 336, 504, 672)
    group by
        gap_hours.site_id, gap_hours.meter_id, gap_hours.billing_timezone, gap_hours.part_start, gap_hours.part_end
    having count(*) >= 2
)

select
    site_id,
    meter_id,
    cast(null as varchar) as billing_timezone,
    'interpolate' as method,
    gap_start as interval_start,
    gap_end as interval_end,
    nano
from interpolated
union all
-- the mean of the hours × the part of the hour that is in the gap
select
    site_id,
    meter_id,
    billing_timezone,
    'like_day',
    part_start,
    part_end,
    (2 * hours_nano * (epoch_us(part_end) - epoch_us(part_start)) + hours * 3600000000) // (2 * hours * 3600000000)
from alike;

select site_id, meter_id, method, count(*) as estimates, cast(sum(nano) as decimal(38, 0)) * 0.000000001 as kwh
from estimates
group by site_id, meter_id, method
order by site_id, meter_id, method;
