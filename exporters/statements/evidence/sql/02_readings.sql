-- Step 2. Which landed readings count. A row is set aside if it cannot be (from the future, or 10^12 and more), if its meter gave a
-- better kind of reading on that UTC day (interval before register before gauge), if a later fetch corrected it, or if a person
-- rejected it. Samples of power make energy.
create or replace table readings as
with landed as (
    select
        readings.site_id,
        readings.meter_id,
        readings.metric,
        units.usage_metric,
        readings.kind,
        readings.interval_start,
        readings.interval_end,
        readings.batch_id,
        readings.ingested_at,
        readings.file,
        -- The value in 10^-9 of its unit, a whole number, times how many parts of the canonical unit its unit has.
        cast(readings.value * 1000000000 as hugeint) * cast(units.numerator as hugeint) as parts,
        cast(units.denominator as hugeint) as parts_of_one
    from 'data/landed_readings.parquet' as readings
    inner join 'data/units.parquet' as units
        on readings.metric = units.metric and readings.unit = units.unit
),

possible as (
    select
        *,
        coalesce(interval_end, interval_start) <= ingested_at + interval 1 hour
        -- 10^12 kWh, h, GB, l or kW in 10^-9 of it, rounded to whole ones
        and (2 * abs(parts) + parts_of_one) // (2 * parts_of_one) < 1000000000000000000000 as is_possible
    from landed
),

of_kind as (
    select
        *,
        case kind when 'interval' then 1 when 'register' then 2 else 3 end as kind_rank,
        min(kind_rank) filter (where is_possible)
            over (partition by site_id, meter_id, usage_metric, cast(interval_start as date)) as best_rank
    from possible
),

in_turn as (
    select
        *,
        row_number() over (
            partition by is_possible, site_id, meter_id, metric, kind, interval_start, interval_end
            order by ingested_at desc, batch_id desc
        ) as from_newest
    from of_kind
)

select
    in_turn.* exclude (is_possible, kind_rank, best_rank, from_newest),
    edits.action is not distinct from 'accept' as is_spike_allowed,
    case
        when not is_possible then 'impossible'
        when kind_rank > best_rank then 'unused_kind'
        when from_newest > 1 then 'superseded'
        when edits.action in ('reject', 'set') then 'rejected'
        else 'used'
    end as fate
from in_turn
left join 'data/reading_edits.parquet' as edits
    on
        in_turn.site_id = edits.site_id
        and in_turn.meter_id = edits.meter_id
        and edits.metric in (in_turn.metric, in_turn.usage_metric)
        and in_turn.interval_start >= edits.from_at
        and in_turn.interval_start < edits.to_at;

select site_id, usage_metric, kind, fate, count(*) as readings
from readings
group by all
order by all;
