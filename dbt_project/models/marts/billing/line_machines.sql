{{ config(materialized='rated', meta={'published_by': 'rated'}) }}

-- depends_on: {{ ref('int_rating__scope') }}
with line_machines as (

    select
        period,
        contract_id,
        term_no,
        charge_code,
        site_id,
        band,
        machine_id,
        quantity,
        estimated_quantity,
        tier_quantity,
        occupied_us
    from {{ ref('int_rating__line_machines') }}

)

select
    period,
    contract_id,
    cast(term_no as integer) as term_no,
    charge_code,
    site_id,
    band,
    machine_id,
    cast(quantity as decimal(38, 9)) as quantity,
    cast(estimated_quantity as decimal(38, 9)) as estimated_quantity,
    cast(tier_quantity as decimal(38, 12)) as tier_quantity,
    occupied_us
from line_machines
order by period, contract_id, charge_code, site_id, band nulls first, machine_id
