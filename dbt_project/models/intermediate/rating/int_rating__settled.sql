{{ config(
    post_hook="delete from {{ ref('int_rating__scope') }} where is_due and fingerprint is null;
        update {{ ref('int_rating__scope') }} set is_due = false where is_due"
) }}

-- depends_on: {{ ref('int_billing__charge_lines') }}
select
    max(run_no) as run_no,
    count(*) filter (where is_due) as rated,
    count(*) as known
from {{ ref('int_rating__scope') }}
