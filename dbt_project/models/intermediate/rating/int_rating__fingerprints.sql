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
    string_agg(part || ' ' || cast(digest as varchar), ', ' order by part) as fingerprint
from parts
where part != 'batches'
group by contract_id, period
