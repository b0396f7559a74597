-- The files of the days in hand: which ones is for the loop to say.
-- depends_on: {{ source('manifest', 'readings') }} {{ source('manifest', 'empty_readings') }}
with landed as (

    select * from {{ readings_in_hand() }}

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
