{{ config(materialized='ephemeral') }}

with units as (

    select
        metric,
        unit,
        numerator,
        denominator
    from {{ ref('units') }}
    where metric != 'power'

)

-- The seed says how many canonical units one unit is; charges need the reverse.
select
    unit,
    cast(denominator as bigint) as numerator,
    cast(numerator as bigint) as denominator
from units
