select
    country,
    date,
    name
from {{ source('book', 'holidays') }}
