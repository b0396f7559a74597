select
    policy_id,
    only_above,
    business_days_only
from {{ source('book', 'dunning_policies') }}
