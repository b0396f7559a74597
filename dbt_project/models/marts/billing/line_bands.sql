{{ config(materialized='rated', meta={'published_by': 'rated'}) }}

-- depends_on: {{ ref('int_rating__scope') }}
with line_bands as (

    select
        period,
        contract_id,
        term_no,
        charge_code,
        site_id,
        band,
        span_start,
        span_end
    from {{ ref('int_rating__line_bands') }}

)

select
    period,
    contract_id,
    cast(term_no as integer) as term_no,
    charge_code,
    site_id,
    band,
    span_start,
    span_end
from line_bands
order by period, contract_id, charge_code, site_id, span_start
