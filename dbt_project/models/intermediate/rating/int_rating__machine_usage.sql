-- depends_on: {{ ref('int_metering__days') }}
select
    contract_id,
    term_no,
    period,
    site_id,
    metric,
    machine_id,
    quantity,
    estimated_quantity
from {{ ref('int_metering__month_usage') }}
