{{ config(materialized='in_hand', meta={'phase': 'totals'}) }}

-- Usage of the touched dates by machine, contract and local date.
with touched_dates as (

    select
        site_id,
        usage_date
    from {{ ref('int_metering__touched_dates') }}
    where not is_settled

),

usage_days as (

    select
        site_id,
        machine_id,
        contract_id,
        metric,
        local_date,
        quantity
    from {{ ref('int_metering__usage_days') }}

),

pieces as (

    select
        site_id,
        metric,
        machine_id,
        contract_id,
        timezone,
        is_estimated,
        interval_start,
        interval_end,
        interval_quantity,
        piece_start,
        piece_end,
        quantity
    from {{ ref('int_metering__pieces') }}

),

local_days as (

    select
        timezone,
        local_date,
        day_start,
        day_end
    from {{ ref('int_metering__local_days') }}

),

bounds as (

    select
        min(day_start) as first_at,
        max(day_end) as last_at
    from local_days

),

pieces_by_day as (

    select
        pieces.site_id,
        pieces.metric,
        pieces.machine_id,
        pieces.contract_id,
        pieces.timezone,
        pieces.is_estimated,
        pieces.interval_start,
        pieces.interval_end,
        pieces.interval_quantity,
        pieces.piece_start,
        pieces.piece_end,
        pieces.quantity,
        {{ each_utc_day('pieces.piece_start', 'pieces.piece_end') }} as utc_day
    from pieces
    inner join bounds
        on
            pieces.piece_start < bounds.last_at
            and pieces.piece_end > bounds.first_at

),

local_days_by_day as (

    select
        timezone,
        local_date,
        day_start,
        day_end,
        {{ each_utc_day('day_start', 'day_end') }} as utc_day
    from local_days

),

-- Pieces meet local days by UTC day, so that the join is an equality; a part belongs to the UTC day in which it begins.
parts as (

    select
        pieces_by_day.site_id,
        pieces_by_day.metric,
        pieces_by_day.machine_id,
        pieces_by_day.contract_id,
        local_days_by_day.local_date,
        pieces_by_day.is_estimated,
        pieces_by_day.interval_quantity,
        pieces_by_day.quantity,
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
            and {{ utc_date('greatest(pieces_by_day.piece_start, local_days_by_day.day_start)') }} = pieces_by_day.utc_day

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
            when is_whole then quantity
            else {{ prorate('interval_quantity', 'to_us', 'whole_us') }} - {{ prorate('interval_quantity', 'from_us', 'whole_us') }}
        end as quantity
    from parts
    union all
    select
        site_id,
        metric,
        machine_id,
        contract_id,
        local_date,
        false as is_estimated,
        quantity
    from usage_days

)

select
    measured.site_id,
    measured.machine_id,
    measured.contract_id,
    measured.local_date as usage_date,
    measured.metric,
    cast(sum(case when measured.is_estimated then 0 else measured.quantity end) as decimal(38, 9)) as metered_quantity,
    cast(sum(case when measured.is_estimated then measured.quantity else 0 end) as decimal(38, 9)) as estimated_quantity
from measured
inner join touched_dates
    on
        measured.site_id = touched_dates.site_id
        and measured.local_date = touched_dates.usage_date
group by measured.site_id, measured.machine_id, measured.contract_id, measured.local_date, measured.metric
