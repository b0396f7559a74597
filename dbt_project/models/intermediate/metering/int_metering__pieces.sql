{{ config(materialized='view') }}

with cuts as (

    select
        site_id,
        meter_id,
        metric,
        machine_id,
        contract_id,
        term_no,
        period,
        interval_start,
        interval_end,
        interval_quantity,
        piece_start,
        piece_end,
        quantity,
        is_estimated,
        batch_id
    from {{ ref('int_metering__cuts') }}

)

select
    site_id,
    meter_id,
    metric,
    machine_id,
    contract_id,
    term_no,
    period,
    interval_start,
    interval_end,
    interval_quantity,
    piece_start,
    piece_end,
    quantity,
    is_estimated,
    batch_id
from cuts
where contract_id is not null
