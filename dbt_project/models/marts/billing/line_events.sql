{{ config(materialized='rated', meta={'published_by': 'rated'}) }}

-- depends_on: {{ ref('int_rating__scope') }}
with line_events as (

    select
        period,
        contract_id,
        term_no,
        charge_code,
        site_id,
        band,
        event_id,
        machine_id,
        service_code,
        classification,
        occurred_at,
        quantity,
        unit,
        unit_amount,
        currency,
        converted_unit_amount,
        markup_percent,
        exact_amount,
        ingested_at
    from {{ ref('int_rating__line_events') }}

)

select
    period,
    contract_id,
    cast(term_no as integer) as term_no,
    charge_code,
    site_id,
    band,
    event_id,
    machine_id,
    service_code,
    classification,
    occurred_at,
    cast(quantity as decimal(18, 6)) as quantity,
    unit,
    cast(unit_amount as decimal(18, 6)) as unit_amount,
    currency,
    cast(converted_unit_amount as decimal(38, 9)) as converted_unit_amount,
    cast(markup_percent as decimal(18, 4)) as markup_percent,
    cast(exact_amount as decimal(38, 21)) as exact_amount,
    ingested_at
from line_events
order by period, contract_id, charge_code, occurred_at, event_id
