-- Rule 5, the end: what stays of the gaps after estimation, where somebody is responsible for it.
with gaps as (

    select
        site_id,
        meter_id,
        gap_start,
        gap_end,
        billing_timezone
    from {{ ref('int_metering__gaps') }}

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

),

estimated_cuts as (

    select
        site_id,
        machine_id,
        contract_id,
        period,
        piece_start,
        piece_end
    from {{ ref('int_metering__cuts') }}
    where
        is_estimated
        and contract_id is not null

),

zone_months as (

    select
        timezone,
        period,
        end_at
    from {{ source('book', 'zone_months') }}

),

landed as (

    select first_landed_at
    from {{ ref('int_metering__range') }}

),

-- Months before anything had landed are not rated, so nothing is missing in them.
first_periods as (

    select
        zone_months.timezone,
        min(zone_months.period) as first_period
    from zone_months
    inner join landed
        on zone_months.end_at > landed.first_landed_at
    group by zone_months.timezone

),

gap_parts as (

    select
        responsibilities.site_id,
        responsibilities.machine_id,
        responsibilities.contract_id,
        responsibilities.period,
        responsibilities.billing_timezone,
        {{ us('least(gaps.gap_end, responsibilities.span_end)') }}
        - {{ us('greatest(gaps.gap_start, responsibilities.span_start)') }} as part_us
    from gaps
    inner join responsibilities
        on
            gaps.site_id = responsibilities.site_id
            and gaps.meter_id = responsibilities.meter_id
            and gaps.gap_start < responsibilities.span_end
            and gaps.gap_end > responsibilities.span_start
            and (gaps.billing_timezone is null or gaps.billing_timezone = responsibilities.billing_timezone)

),

gap_time as (

    select
        gap_parts.site_id,
        gap_parts.machine_id,
        gap_parts.contract_id,
        gap_parts.period,
        count(*) as gaps,
        sum(gap_parts.part_us) as gap_us
    from gap_parts
    inner join first_periods
        on
            gap_parts.billing_timezone = first_periods.timezone
            and gap_parts.period >= first_periods.first_period
    group by gap_parts.site_id, gap_parts.machine_id, gap_parts.contract_id, gap_parts.period

),

estimated_time as (

    select
        site_id,
        machine_id,
        contract_id,
        period,
        sum({{ us('piece_end') }} - {{ us('piece_start') }}) as estimated_us
    from estimated_cuts
    group by site_id, machine_id, contract_id, period

),

compared as (

    select
        gap_time.site_id,
        gap_time.machine_id,
        gap_time.contract_id,
        gap_time.period,
        gap_time.gaps,
        cast(gap_time.gap_us as hugeint) as gap_us,
        cast(coalesce(estimated_time.estimated_us, 0) as hugeint) as estimated_us
    from gap_time
    left join estimated_time
        on
            gap_time.site_id = estimated_time.site_id
            and gap_time.machine_id = estimated_time.machine_id
            and gap_time.contract_id = estimated_time.contract_id
            and gap_time.period = estimated_time.period

)

select
    site_id,
    machine_id,
    contract_id,
    period,
    gaps,
    {{ divide_round('(gap_us - estimated_us)', 0, '3600000000', 0, 9) }} as missing_hours,
    {{ divide_round('estimated_us', 0, '3600000000', 0, 9) }} as estimated_hours
from compared
where gap_us > estimated_us
