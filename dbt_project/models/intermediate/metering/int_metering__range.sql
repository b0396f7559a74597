with readings as (

    select interval_start
    from {{ ref('int_metering__readings') }}
    where impossible_kind is null

)

select
    min(interval_start) as first_landed_at,
    max(interval_start) as newest_landed_at
from readings
