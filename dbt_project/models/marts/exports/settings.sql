select
    adjustment_months,
    close_grace_days,
    tolerance_percent,
    payments_fresh_hours,
    max_machines_per_run,
    lookback_days
from {{ source('book', 'settings') }}
