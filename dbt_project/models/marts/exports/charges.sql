select
    plan_id,
    version,
    code,
    model,
    words
from {{ source('book', 'charges') }}
