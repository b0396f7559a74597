select
    seller_id,
    is_default,
    legal_name,
    address_line1,
    address_line2,
    postal_code,
    city,
    country,
    tax_number,
    registration_number,
    email,
    logo,
    xero_tenant_id
from {{ source('book', 'sellers') }}
