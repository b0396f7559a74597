-- Rule 0: one kind a day. Of a meter's rows of one metric on one UTC day only the best kind present counts.
with readings as (

    select
        reading_no,
        site_id,
        meter_id,
        metric,
        usage_metric,
        kind,
        interval_start,
        interval_end,
        usage_date,
        parts,
        denominator,
        canonical_value,
        batch_id,
        ingested_at,
        impossible_kind,
        case kind when 'interval' then 1 when 'register' then 2 else 3 end as kind_rank
    from {{ ref('int_metering__readings') }}

),

mixed_kinds as (

    select
        site_id,
        meter_id,
        usage_metric,
        usage_date,
        best_rank
    from {{ ref('int_metering__mixed_kinds') }}

)

select
    readings.reading_no,
    readings.site_id,
    readings.meter_id,
    readings.metric,
    readings.usage_metric,
    readings.kind,
    readings.interval_start,
    readings.interval_end,
    readings.usage_date,
    readings.parts,
    readings.denominator,
    readings.canonical_value,
    readings.batch_id,
    readings.ingested_at,
    case
        when readings.impossible_kind is not null then 'quarantined'
        when readings.kind_rank > mixed_kinds.best_rank then 'unused_kind'
    end as fate,
    readings.impossible_kind as fate_reason
from readings
left join mixed_kinds
    on
        readings.site_id = mixed_kinds.site_id
        and readings.meter_id = mixed_kinds.meter_id
        and readings.usage_metric = mixed_kinds.usage_metric
        and readings.usage_date = mixed_kinds.usage_date
