select branding_theme
from {{ source('book', 'xero_options') }}
