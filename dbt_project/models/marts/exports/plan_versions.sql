select
    plan_id,
    version,
    valid_from_month,
    valid_to_month,
    adjust,
    words
from {{ source('book', 'plan_versions') }}
