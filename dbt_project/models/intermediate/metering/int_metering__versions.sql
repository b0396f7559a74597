with kinds as (

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
        fate,
        fate_reason
    from {{ ref('int_metering__kinds') }}

),

superseded as (

    select reading_no
    from {{ ref('int_metering__superseded') }}

)

select
    kinds.reading_no,
    kinds.site_id,
    kinds.meter_id,
    kinds.metric,
    kinds.usage_metric,
    kinds.kind,
    kinds.interval_start,
    kinds.interval_end,
    kinds.usage_date,
    kinds.parts,
    kinds.denominator,
    kinds.canonical_value,
    kinds.batch_id,
    kinds.ingested_at,
    case
        when kinds.fate is not null then kinds.fate
        when superseded.reading_no is not null then 'superseded'
    end as fate,
    kinds.fate_reason
from kinds
left join superseded
    on kinds.reading_no = superseded.reading_no
