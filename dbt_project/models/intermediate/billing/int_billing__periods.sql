with contract_terms as (

    select billing_timezone
    from {{ source('book', 'contract_terms') }}

),

zone_months as (

    select
        timezone,
        period,
        start_at,
        end_at
    from {{ source('book', 'zone_months') }}

),

landed as (

    select
        first_landed_at,
        newest_landed_at
    from {{ ref('int_metering__range') }}

),

build_context as (

    select also_period
    from {{ source('context', 'build_context') }}

),

timezones as (

    select distinct billing_timezone
    from contract_terms

)

select
    timezones.billing_timezone,
    zone_months.period,
    zone_months.start_at as period_start,
    zone_months.end_at as period_end,
    coalesce(zone_months.end_at <= landed.newest_landed_at, false) as is_over
from timezones
inner join zone_months
    on timezones.billing_timezone = zone_months.timezone
cross join landed
cross join build_context
where
    (
        zone_months.end_at > landed.first_landed_at
        and zone_months.start_at <= landed.newest_landed_at
    )
    or zone_months.period = build_context.also_period
