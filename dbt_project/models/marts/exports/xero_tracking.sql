select
    dimension,
    category
from {{ source('book', 'xero_tracking') }}
