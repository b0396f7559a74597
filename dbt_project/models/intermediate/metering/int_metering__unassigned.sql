{{ config(materialized='view') }}

-- Rule 7: the parts of accepted intervals that fall to nobody.
with cuts as (

    select
        site_id,
        meter_id,
        metric,
        machine_id,
        interval_start,
        interval_end,
        interval_quantity,
        piece_start,
        piece_end,
        quantity,
        batch_id,
        ingested_at
    from {{ ref('int_metering__cuts') }}
    where
        contract_id is null
        and not is_estimated

)

select
    site_id,
    meter_id,
    metric,
    machine_id,
    interval_start,
    interval_end,
    interval_quantity,
    piece_start,
    piece_end,
    quantity,
    batch_id,
    ingested_at
from cuts
