select
    seller_id,
    currency,
    iban,
    bic,
    account,
    bank,
    post_payments,
    xero_account,
    no_bank_feed
from {{ source('book', 'seller_bank_accounts') }}
