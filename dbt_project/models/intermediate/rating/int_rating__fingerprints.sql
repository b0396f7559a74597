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

-- What lands is in the usage that a run of metering changed; its batches alone change no line.
select
    contract_id,
    period,
    {{ listed("part || ' ' || cast(digest as string)", ', ', 'part') }} as fingerprint
from parts
where part != 'batches'
group by contract_id, period
