-- depends_on: {{ ref('int_metering__days') }}
with pieces as (

    select
        site_id,
        meter_id,
        metric,
        machine_id,
        contract_id,
        period,
        method,
        interval_start,
        interval_end,
        interval_quantity,
        piece_start,
        piece_end,
        quantity,
        gap_start,
        gap_end
    from {{ ref('int_metering__pieces') }}
    where is_estimated

),

units as (

    select distinct
        usage_metric,
        canonical_unit
    from {{ ref('units') }}
    where metric = usage_metric

)

select
    pieces.site_id,
    pieces.meter_id,
    pieces.metric,
    pieces.machine_id,
    pieces.contract_id,
    pieces.period,
    pieces.method,
    pieces.piece_start as interval_start,
    pieces.piece_end as interval_end,
    pieces.quantity,
    units.canonical_unit as unit,
    pieces.gap_start,
    pieces.gap_end,
    pieces.interval_start as estimate_start,
    pieces.interval_end as estimate_end,
    pieces.interval_quantity as estimate_quantity
from pieces
inner join units
    on pieces.metric = units.usage_metric
