-- What has landed, before the rest of this run is computed; impossible rows aside.
with landed_days as (

    select
        first_possible_at,
        last_possible_at
    from {{ ref('int_metering__landed_days') }}

)

-- Two months of room: enough for any timezone's month around the first instant.
select
    min(first_possible_at) as first_landed_at,
    max(last_possible_at) as newest_landed_at,
    min(first_possible_at) - interval 62 day as cut_from
from landed_days
