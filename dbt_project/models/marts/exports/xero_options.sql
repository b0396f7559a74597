select
    branding_theme,
    statement_url
from {{ source('book', 'xero_options') }}
