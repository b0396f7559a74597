select
    credit_id,
    contract_id,
    kind,
    amount,
    currency,
    valid_from_at,
    valid_to_at,
    note
from {{ source('book', 'credits') }}
