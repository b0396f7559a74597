select
    charge_code,
    account_code
from {{ source('book', 'xero_accounts') }}
