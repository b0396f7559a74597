{{ config(
    post_hook="{{ settle(ref('int_rating__scope')) }}"
) }}

-- depends_on: {{ ref('int_billing__charge_lines') }}
-- depends_on: {{ ref('line_bands') }}
-- depends_on: {{ ref('line_bases') }}
-- depends_on: {{ ref('line_calculations') }}
-- depends_on: {{ ref('line_events') }}
-- depends_on: {{ ref('line_days') }}
-- depends_on: {{ ref('line_machines') }}
select
    max(run_no) as run_no,
    count(*) filter (where is_due) as rated,
    count(*) as known
from {{ ref('int_rating__scope') }}
