select
    alert_key,
    period,
    contract_id,
    customer_id,
    measure,
    threshold,
    threshold_in_words,
    unit,
    value,
    projected_value,
    measured_until,
    is_over,
    is_reached,
    detail
from {{ ref('int_billing__alerts') }}
