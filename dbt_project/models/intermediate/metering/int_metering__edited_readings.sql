-- Rule 1a: what people decided about readings, applied to the rows that deduplication kept.
with versions as (

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
    from {{ ref('int_metering__versions') }}

),

-- Edits of energy reach gauges of power too. Edits of one meter and metric do not overlap (the book sees to it, with power and
-- energy as one), so a row meets one at most.
reading_edits as (

    select
        site_id,
        meter_id,
        metric,
        case metric when 'power' then 'energy' else metric end as usage_metric,
        from_at,
        to_at,
        action,
        reason
    from {{ source('book', 'reading_edits') }}

)

select
    versions.reading_no,
    versions.site_id,
    versions.meter_id,
    versions.metric,
    versions.usage_metric,
    versions.kind,
    versions.interval_start,
    versions.interval_end,
    versions.usage_date,
    versions.parts,
    versions.denominator,
    versions.canonical_value,
    versions.batch_id,
    versions.ingested_at,
    case
        when versions.fate is not null then versions.fate
        when reading_edits.action in ('reject', 'set') then 'rejected'
    end as fate,
    case
        when versions.fate is not null then versions.fate_reason
        when reading_edits.action in ('reject', 'set') then reading_edits.reason
    end as fate_reason,
    versions.fate is null and coalesce(reading_edits.action = 'accept', false) as is_spike_allowed
from versions
left join reading_edits
    on
        versions.site_id = reading_edits.site_id
        and versions.meter_id = reading_edits.meter_id
        and versions.usage_metric = reading_edits.usage_metric
        and reading_edits.metric in (versions.metric, versions.usage_metric)
        and versions.interval_start >= reading_edits.from_at
        and versions.interval_start < reading_edits.to_at
