-- Step 6. Usage by quarter of an hour, for charges by band of the day, by index hour or by peak demand: the pieces of step 5, cut
-- in the same way at every quarter of an hour of UTC. quarter_no counts them since 1970.
create or replace table usage_quarters as
with by_quarter as (
    select
        *,
        unnest(range(piece_start_us // 900000000, (piece_end_us - 1) // 900000000 + 1)) as quarter_no
    from pieces
),

cut as (
    select
        *,
        greatest(piece_start_us, quarter_no * 900000000) - interval_start_us as cut_from,
        least(piece_end_us, (quarter_no + 1) * 900000000) - interval_start_us as cut_to
    from by_quarter
)

select
    contract_id,
    term_no,
    period,
    site_id,
    metric,
    quarter_no,
    is_estimated,
    sum(
        (2 * interval_nano * cut_to + interval_us) // (2 * interval_us)
        - (2 * interval_nano * cut_from + interval_us) // (2 * interval_us)
    ) as nano
from cut
group by all;

select
    contract_id,
    period,
    site_id,
    metric,
    count(distinct quarter_no) as quarters_of_an_hour,
    cast(sum(nano) as decimal(38, 0)) * 0.000000001 as quantity
from usage_quarters
group by contract_id, period, term_no, site_id, metric
order by contract_id, period, term_no, site_id, metric;
