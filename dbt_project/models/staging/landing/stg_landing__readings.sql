with landed as (

    select * from {{ landing_files('readings') }}

)

select
    site_id,
    source,
    meter_id,
    metric,
    kind,
    unit,
    interval_start,
    interval_end,
    value,
    quality,
    batch_id,
    ingested_at
from landed
