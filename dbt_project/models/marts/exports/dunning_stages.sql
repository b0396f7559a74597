select
    policy_id,
    stage_no,
    stage,
    days_overdue,
    action,
    template,
    responsible,
    copy_to,
    requires,
    notice_days,
    approval
from {{ source('book', 'dunning_stages') }}
