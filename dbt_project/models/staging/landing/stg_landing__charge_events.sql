with landed as (

    select * from {{ landing_files('charge_events') }}

)

select
    event_id,
    site_id,
    machine_id,
    contract_id,
    service_code,
    classification,
    occurred_at,
    quantity,
    unit,
    unit_amount,
    currency,
    description,
    batch_id,
    ingested_at
from landed
