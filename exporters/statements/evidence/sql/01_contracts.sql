-- Step 1. What is billed: each contract's part of the month (from the start of its term, at the earliest that of the month, to the
-- end of its term, at the latest that of the month), and the plan version in force. Instants are UTC.
create or replace table segments as
select
    terms.contract_id,
    terms.term_no,
    rated.period,
    rated.has_charges,
    terms.payer_id,
    terms.billing_timezone,
    terms.plan_id,
    versions.version as plan_version,
    plans.currency as plan_currency,
    plans.minor_units as plan_minor_units,
    greatest(terms.valid_from_at, months.start_at) as segment_start,
    least(coalesce(terms.valid_to_at, months.end_at), months.end_at) as segment_end,
    epoch_us(months.end_at) - epoch_us(months.start_at) as month_us,
    epoch_us(segment_end) - epoch_us(segment_start) as segment_us,
    -- 1 in the month in which the contract began
    date_diff('month', cast(terms.first_month || '-01' as date), cast(rated.period || '-01' as date)) + 1 as contract_month
from 'data/rated.parquet' as rated
inner join 'data/contract_terms.parquet' as terms
    on rated.contract_id = terms.contract_id
inner join 'data/months.parquet' as months
    on
        terms.billing_timezone = months.timezone
        and rated.period = months.period
        and terms.valid_from_at < months.end_at
        and (terms.valid_to_at is null or terms.valid_to_at > months.start_at)
inner join 'data/plans.parquet' as plans
    on terms.plan_id = plans.plan_id
inner join 'data/plan_versions.parquet' as versions
    on
        terms.plan_id = versions.plan_id
        and rated.period >= versions.valid_from_month
        and (versions.valid_to_month is null or rated.period < versions.valid_to_month);

-- Which machine was the contract's on which meter, and when: while it stood there, was assigned, and the part of the month lasted.
create or replace table billed_spans as
select
    placements.site_id,
    placements.meter_id,
    placements.machine_id,
    segments.contract_id,
    segments.term_no,
    segments.period,
    segments.billing_timezone,
    greatest(placements.valid_from_at, assignments.valid_from_at, segments.segment_start) as span_start,
    least(placements.valid_to_at, assignments.valid_to_at, segments.segment_end) as span_end
from segments
inner join 'data/assignments.parquet' as assignments
    on segments.contract_id = assignments.contract_id
inner join 'data/placements.parquet' as placements
    on assignments.machine_id = placements.machine_id
where segments.has_charges and span_start < span_end;

select contract_id, term_no, period, plan_id, plan_version, segment_start, segment_end
from segments
order by contract_id, period, term_no;
