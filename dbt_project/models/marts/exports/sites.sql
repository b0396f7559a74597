select
    site_id,
    name,
    country,
    region,
    timezone,
    tax_jurisdiction,
    expected_interval_minutes,
    default_rated_kw,
    estimation
from {{ source('book', 'sites') }}
