{{ config(materialized='table') }}

-- Rule 5, the end: what stays of the gaps after estimation, where somebody is responsible for it.
-- depends_on: {{ ref('int_metering__days') }}
with gap_parts as (

    select
        site_id,
        machine_id,
        contract_id,
        period,
        billing_timezone,
        {{ us('part_end') }} - {{ us('part_start') }} as part_us
    from {{ ref('int_metering__gap_parts') }}

),

pieces as (

    select
        site_id,
        machine_id,
        contract_id,
        period,
        {{ us('piece_end') }} - {{ us('piece_start') }} as piece_us
    from {{ ref('int_metering__pieces') }}
    where is_estimated

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
        sum(piece_us) as estimated_us
    from pieces
    group by site_id, machine_id, contract_id, period

),

compared as (

    select
        gap_time.site_id,
        gap_time.machine_id,
        gap_time.contract_id,
        gap_time.period,
        gap_time.gaps,
        cast(gap_time.gap_us as {{ whole_type() }}) as gap_us,
        cast(coalesce(estimated_time.estimated_us, 0) as {{ whole_type() }}) as estimated_us
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
