select
    site_jurisdiction,
    payer_country,
    charge_code,
    tax_code,
    rate_percent,
    valid_from,
    valid_to,
    note
from {{ source('book', 'tax_rules') }}
