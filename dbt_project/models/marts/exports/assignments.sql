select
    machine_id,
    contract_id,
    valid_from_at,
    valid_to_at
from {{ source('book', 'assignments') }}
