select
    tax_code,
    tax_type
from {{ source('book', 'xero_tax_types') }}
