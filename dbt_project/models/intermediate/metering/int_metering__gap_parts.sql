{{ config(
    materialized='kept',
    meta={
        'phase': 'spans',
        'replaces': 'case when [self].is_open then true'
            ' else exists (select 1 from [hulls] as hulls where hulls.site_id = [self].site_id'
            ' and hulls.hull_start <= [self].gap_end and hulls.hull_end + interval 29 day >= [self].gap_start) end'
    }
) }}

-- Gaps, filled or not, cut by who is responsible for them.
with gaps as (

    select
        site_id,
        meter_id,
        gap_start,
        gap_end,
        is_open,
        billing_timezone
    from {{ ref('int_metering__gaps_in_hand') }}

),

responsibilities as (

    select
        site_id,
        meter_id,
        span_start,
        span_end,
        machine_id,
        contract_id,
        billing_timezone,
        period
    from {{ ref('int_metering__responsibilities') }}
    where contract_id is not null

)

select
    gaps.site_id,
    gaps.meter_id,
    gaps.is_open,
    gaps.gap_start,
    gaps.gap_end,
    responsibilities.machine_id,
    responsibilities.contract_id,
    responsibilities.billing_timezone,
    responsibilities.period,
    greatest(gaps.gap_start, responsibilities.span_start) as part_start,
    least(gaps.gap_end, responsibilities.span_end) as part_end
from gaps
inner join responsibilities
    on
        gaps.site_id = responsibilities.site_id
        and gaps.meter_id = responsibilities.meter_id
        and gaps.gap_start < responsibilities.span_end
        and gaps.gap_end > responsibilities.span_start
        and (gaps.billing_timezone is null or gaps.billing_timezone = responsibilities.billing_timezone)
