{{ config(materialized='in_hand', meta={'phase': 'days'}) }}

-- What became of a meter's rows of a day, and between which of them its usage lies.
with edited_readings as (

    select
        site_id,
        meter_id,
        usage_metric,
        kind,
        interval_start,
        usage_date,
        parts,
        denominator,
        canonical_value,
        batch_id,
        ingested_at,
        fate,
        is_spike_allowed
    from {{ ref('int_metering__edited_readings') }}

),

tallies as (

    select
        site_id,
        usage_date,
        meter_id,
        usage_metric,
        min(kind) filter (where fate is null) as kind,
        min(interval_start) filter (where fate is null) as first_start,
        max(interval_start) filter (where fate is null) as last_start,
        min(interval_start) filter (where fate is null or fate != 'quarantined') as first_possible_at,
        max(interval_start) filter (where fate is null or fate != 'quarantined') as last_possible_at,
        count(*) as rows_landed,
        count(*) filter (where fate is null) as rows_used,
        count(*) filter (where fate = 'quarantined') as rows_impossible,
        count(*) filter (where fate = 'rejected') as rows_rejected,
        count(*) filter (where fate = 'superseded') as rows_superseded,
        count(*) filter (where fate = 'unused_kind') as rows_unused_kind,
        coalesce(sum(canonical_value) filter (where fate = 'quarantined' and kind = 'interval'), 0) as impossible_quantity
    from edited_readings
    group by site_id, usage_date, meter_id, usage_metric

),

-- Only samples are looked at again from another day.
samples as (

    select
        site_id,
        usage_date,
        meter_id,
        usage_metric,
        interval_start,
        parts,
        denominator,
        batch_id,
        ingested_at,
        is_spike_allowed
    from edited_readings
    where
        fate is null
        and kind != 'interval'

)

select
    tallies.site_id,
    tallies.usage_date,
    tallies.meter_id,
    tallies.usage_metric as metric,
    tallies.kind,
    tallies.first_start,
    first_samples.parts as first_parts,
    first_samples.batch_id as first_batch_id,
    first_samples.ingested_at as first_ingested_at,
    tallies.last_start,
    last_samples.parts as last_parts,
    last_samples.batch_id as last_batch_id,
    last_samples.ingested_at as last_ingested_at,
    last_samples.denominator,
    coalesce(last_samples.is_spike_allowed, false) as is_spike_allowed_after_last,
    tallies.first_possible_at,
    tallies.last_possible_at,
    tallies.rows_landed,
    tallies.rows_used,
    tallies.rows_impossible,
    tallies.rows_rejected,
    tallies.rows_superseded,
    tallies.rows_unused_kind,
    tallies.impossible_quantity
from tallies
left join samples as first_samples
    on
        tallies.site_id = first_samples.site_id
        and tallies.meter_id = first_samples.meter_id
        and tallies.usage_metric = first_samples.usage_metric
        and tallies.first_start = first_samples.interval_start
left join samples as last_samples
    on
        tallies.site_id = last_samples.site_id
        and tallies.meter_id = last_samples.meter_id
        and tallies.usage_metric = last_samples.usage_metric
        and tallies.last_start = last_samples.interval_start
