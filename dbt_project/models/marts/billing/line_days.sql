{{ config(materialized='rated', meta={'published_by': 'rated'}) }}

-- depends_on: {{ ref('int_rating__scope') }}
with line_days as (

    select
        period,
        contract_id,
        term_no,
        charge_code,
        site_id,
        band,
        usage_date,
        quantity,
        estimated_quantity,
        exact_amount,
        peak_start,
        peak_quantity
    from {{ ref('int_rating__line_days') }}

)

select
    period,
    contract_id,
    cast(term_no as integer) as term_no,
    charge_code,
    site_id,
    band,
    usage_date,
    cast(quantity as decimal(38, 9)) as quantity,
    cast(estimated_quantity as decimal(38, 9)) as estimated_quantity,
    cast(exact_amount as decimal(38, 25)) as exact_amount,
    peak_start,
    cast(peak_quantity as decimal(38, 9)) as peak_quantity
from line_days
order by period, contract_id, charge_code, site_id, band nulls first, usage_date
