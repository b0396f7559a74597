select
    endpoint_id,
    url,
    secrets,
    events,
    customers,
    payers,
    description,
    active,
    private
from {{ source('book', 'webhook_endpoints') }}
