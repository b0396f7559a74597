-- Step 5. Usage by machine and day. An interval is the contract's as far as its machine stood on the meter, was assigned to the
-- contract, and the contract's part of the month lasted. One that crosses such a bound is split in proportion to time: with
-- cum(t) = its quantity × the time up to t ÷ its whole time, rounded to a whole nano, the piece from t1 to t2 is cum(t2) - cum(t1).
create or replace table pieces as
with quantities as (
    select site_id, meter_id, metric, cast(null as varchar) as billing_timezone, interval_start, interval_end, nano, false as is_estimated
    from intervals
    where verdict = 'accepted'
    union all
    select site_id, meter_id, 'energy', billing_timezone, interval_start, interval_end, nano, true
    from estimates
)

select
    billed_spans.contract_id,
    billed_spans.term_no,
    billed_spans.period,
    billed_spans.billing_timezone,
    billed_spans.site_id,
    billed_spans.machine_id,
    billed_spans.meter_id,
    quantities.metric,
    quantities.is_estimated,
    quantities.nano as interval_nano,
    epoch_us(quantities.interval_start) as interval_start_us,
    epoch_us(quantities.interval_end) - epoch_us(quantities.interval_start) as interval_us,
    epoch_us(greatest(quantities.interval_start, billed_spans.span_start)) as piece_start_us,
    epoch_us(least(quantities.interval_end, billed_spans.span_end)) as piece_end_us
from billed_spans
inner join quantities
    on
        billed_spans.site_id = quantities.site_id
        and billed_spans.meter_id = quantities.meter_id
        and billed_spans.span_start < quantities.interval_end
        and billed_spans.span_end > quantities.interval_start
        and (quantities.billing_timezone is null or quantities.billing_timezone = billed_spans.billing_timezone);

-- Days are those of the contract's clock; time_zones.parquet says how far it is from UTC, and since when.
create or replace table usage_days as
with on_the_clock as (
    select
        pieces.*,
        zones.utc_offset_seconds * 1000000 as offset_us,
        greatest(pieces.piece_start_us, epoch_us(zones.from_at)) as from_us,
        least(pieces.piece_end_us, epoch_us(zones.to_at)) as to_us
    from pieces
    inner join 'data/time_zones.parquet' as zones
        on
            pieces.billing_timezone = zones.timezone
            and pieces.piece_start_us < epoch_us(zones.to_at)
            and pieces.piece_end_us > epoch_us(zones.from_at)
),

by_day as (
    select
        *,
        unnest(range((from_us + offset_us) // 86400000000, (to_us + offset_us - 1) // 86400000000 + 1)) as day_no
    from on_the_clock
),

cut as (
    select
        *,
        greatest(from_us, day_no * 86400000000 - offset_us) - interval_start_us as cut_from,
        least(to_us, (day_no + 1) * 86400000000 - offset_us) - interval_start_us as cut_to
    from by_day
)

select
    contract_id,
    term_no,
    period,
    site_id,
    machine_id,
    metric,
    date '1970-01-01' + cast(day_no as integer) as usage_date,
    is_estimated,
    sum(
        (2 * interval_nano * cut_to + interval_us) // (2 * interval_us)
        - (2 * interval_nano * cut_from + interval_us) // (2 * interval_us)
    ) as nano
from cut
group by all;

-- Usage by site: what charges are priced from. Every line below starts here.
create or replace table site_usage as
select
    contract_id,
    term_no,
    period,
    site_id,
    metric,
    sum(nano) as nano,
    coalesce(sum(nano) filter (where is_estimated), 0) as estimated_nano
from usage_days
group by contract_id, term_no, period, site_id, metric;

select
    contract_id,
    period,
    site_id,
    metric,
    cast(nano as decimal(38, 0)) * 0.000000001 as quantity,
    cast(estimated_nano as decimal(38, 0)) * 0.000000001 as of_it_estimated
from site_usage
order by contract_id, period, term_no, site_id, metric;
