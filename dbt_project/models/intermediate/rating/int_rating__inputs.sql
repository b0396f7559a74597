-- depends_on: {{ ref('int_metering__days') }}
with parts as (

    select
        contract_id,
        period,
        part,
        kind,
        digest
    from {{ ref('int_rating__input_parts') }}

)

select
    contract_id,
    period,
    md5(coalesce({{ listed("part || ' ' || cast(digest as string)", ', ', 'part') }} filter (where kind = 'book'), '')) as book_digest,
    md5(coalesce({{ listed("part || ' ' || cast(digest as string)", ', ', 'part') }} filter (where kind = 'readings'), ''))
        as readings_digest
from parts
group by contract_id, period
