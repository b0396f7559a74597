{% set utc_day_us = 24 * 3600 * 1000000 %}
with cuts as (

    select
        site_id,
        meter_id,
        metric,
        machine_id,
        contract_id,
        billing_timezone,
        interval_start,
        interval_end,
        interval_quantity,
        piece_start,
        piece_end,
        quantity,
        is_estimated
    from {{ ref('int_metering__cuts') }}

),

sites as (

    select
        site_id,
        timezone
    from {{ source('book', 'sites') }}

),

local_days as (

    select
        timezone,
        local_date,
        day_start,
        day_end
    from {{ ref('int_metering__local_days') }}

),

units as (

    select distinct
        usage_metric,
        canonical_unit
    from {{ ref('units') }}
    where metric = usage_metric

),

pieces as (

    select
        cuts.site_id,
        cuts.metric,
        cuts.machine_id,
        cuts.contract_id,
        coalesce(cuts.billing_timezone, sites.timezone) as timezone,
        cuts.interval_start,
        cuts.interval_end,
        cuts.interval_quantity,
        cuts.piece_start,
        cuts.piece_end,
        cuts.quantity,
        cuts.is_estimated
    from cuts
    inner join sites
        on cuts.site_id = sites.site_id
    where
        cuts.contract_id is not null
        or not cuts.is_estimated

),

-- Pieces meet local days by UTC day, so that the join is an equality; a part belongs to the UTC day in which it begins.
pieces_by_day as (

    select
        site_id,
        metric,
        machine_id,
        contract_id,
        timezone,
        interval_start,
        interval_end,
        interval_quantity,
        piece_start,
        piece_end,
        quantity,
        is_estimated,
        {{ each_number(us('piece_start') ~ ' // ' ~ utc_day_us, '(' ~ us('piece_end') ~ ' - 1) // ' ~ utc_day_us) }} as utc_day
    from pieces

),

local_days_by_day as (

    select
        timezone,
        local_date,
        day_start,
        day_end,
        {{ each_number(us('day_start') ~ ' // ' ~ utc_day_us, '(' ~ us('day_end') ~ ' - 1) // ' ~ utc_day_us) }} as utc_day
    from local_days

),

parts as (

    select
        pieces_by_day.site_id,
        pieces_by_day.metric,
        pieces_by_day.machine_id,
        pieces_by_day.contract_id,
        local_days_by_day.local_date,
        pieces_by_day.is_estimated,
        pieces_by_day.interval_quantity,
        pieces_by_day.quantity as piece_quantity,
        pieces_by_day.piece_start >= local_days_by_day.day_start
        and pieces_by_day.piece_end <= local_days_by_day.day_end as is_whole,
        {{ us('greatest(pieces_by_day.piece_start, local_days_by_day.day_start)') }}
        - {{ us('pieces_by_day.interval_start') }} as from_us,
        {{ us('least(pieces_by_day.piece_end, local_days_by_day.day_end)') }}
        - {{ us('pieces_by_day.interval_start') }} as to_us,
        {{ us('pieces_by_day.interval_end') }} - {{ us('pieces_by_day.interval_start') }} as whole_us
    from pieces_by_day
    inner join local_days_by_day
        on
            pieces_by_day.timezone = local_days_by_day.timezone
            and pieces_by_day.utc_day = local_days_by_day.utc_day
            and pieces_by_day.piece_start < local_days_by_day.day_end
            and pieces_by_day.piece_end > local_days_by_day.day_start
            and {{ us('greatest(pieces_by_day.piece_start, local_days_by_day.day_start)') }} // {{ utc_day_us }} = pieces_by_day.utc_day

),

measured as (

    select
        site_id,
        metric,
        machine_id,
        contract_id,
        local_date,
        is_estimated,
        case
            when is_whole then piece_quantity
            else {{ prorate('interval_quantity', 'to_us', 'whole_us') }} - {{ prorate('interval_quantity', 'from_us', 'whole_us') }}
        end as quantity
    from parts

),

summed as (

    select
        site_id,
        machine_id,
        contract_id,
        local_date,
        metric,
        cast(sum(case when is_estimated then 0 else quantity end) as decimal(38, 9)) as metered_quantity,
        cast(sum(case when is_estimated then quantity else 0 end) as decimal(38, 9)) as estimated_quantity
    from measured
    group by site_id, machine_id, contract_id, local_date, metric

)

select
    summed.site_id,
    summed.machine_id,
    summed.contract_id,
    summed.local_date as usage_date,
    summed.metric,
    summed.metered_quantity,
    summed.estimated_quantity,
    units.canonical_unit as unit
from summed
inner join units
    on summed.metric = units.usage_metric
