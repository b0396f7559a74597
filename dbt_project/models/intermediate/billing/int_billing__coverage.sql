-- depends_on: {{ ref('int_metering__days') }}
with occupancy as (

    select
        contract_id,
        period,
        site_id,
        occupied_us
    from {{ ref('int_rating__occupancy') }}

),

missing as (

    select
        contract_id,
        period,
        site_id,
        missing_hours
    from {{ ref('int_metering__missing') }}

),

pieces as (

    select
        contract_id,
        period,
        site_id,
        {{ us('piece_end') }} - {{ us('piece_start') }} as piece_us
    from {{ ref('int_metering__pieces') }}
    where
        is_estimated
        and metric = 'energy'

),

occupied as (

    select
        contract_id,
        period,
        site_id,
        sum(occupied_us) as occupied_us
    from occupancy
    group by contract_id, period, site_id

),

missed as (

    select
        contract_id,
        period,
        site_id,
        cast(sum({{ round_half_away(exact_product('missing_hours', 9, '3600000000', 0), 0) }}) as {{ whole_type() }}) as missing_us
    from missing
    group by contract_id, period, site_id

),

estimated as (

    select
        contract_id,
        period,
        site_id,
        sum(piece_us) as estimated_us
    from pieces
    group by contract_id, period, site_id

)

select
    occupied.contract_id,
    occupied.period,
    occupied.site_id,
    cast(occupied.occupied_us as {{ whole_type() }}) as occupied_us,
    coalesce(missed.missing_us, 0) as missing_us,
    cast(coalesce(estimated.estimated_us, 0) as {{ whole_type() }}) as estimated_us
from occupied
left join missed
    on
        occupied.contract_id = missed.contract_id
        and occupied.period = missed.period
        and occupied.site_id = missed.site_id
left join estimated
    on
        occupied.contract_id = estimated.contract_id
        and occupied.period = estimated.period
        and occupied.site_id = estimated.site_id
