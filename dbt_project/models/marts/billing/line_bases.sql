{{ config(materialized='rated', meta={'published_by': 'rated'}) }}

-- depends_on: {{ ref('int_rating__scope') }}
with line_bases as (

    select
        period,
        contract_id,
        term_no,
        charge_code,
        site_id,
        base_charge_code,
        base_site_id,
        base_band,
        amount
    from {{ ref('int_rating__line_bases') }}

)

select
    period,
    contract_id,
    cast(term_no as integer) as term_no,
    charge_code,
    site_id,
    base_charge_code,
    base_site_id,
    base_band,
    cast(amount as decimal(18, 2)) as amount
from line_bases
order by period, contract_id, charge_code, site_id, base_charge_code, base_site_id, base_band
