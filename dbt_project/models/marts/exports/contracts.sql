select
    contract_id,
    term_no,
    customer_id,
    payer_id,
    plan_id,
    billing_timezone,
    valid_from_at,
    valid_to_at,
    po_number,
    first_month
from {{ source('book', 'contract_terms') }}
