select
    seller_id,
    currency,
    iban,
    bic,
    account,
    bank
from {{ source('book', 'seller_bank_accounts') }}
