select
    customer_id,
    name,
    parent_customer_id,
    email,
    language
from {{ source('book', 'customers') }}
