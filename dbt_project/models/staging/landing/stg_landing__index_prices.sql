with landed as (

    select * from {{ landing_files('index_prices') }}

)

select
    index_id,
    hour_start,
    price,
    currency,
    batch_id,
    ingested_at
from landed
