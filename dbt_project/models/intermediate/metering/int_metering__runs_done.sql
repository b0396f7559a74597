{{ config(materialized='kept', meta={'phase': 'totals', 'replaces': 'false', 'remembers': true}) }}

select
    run_no,
    run_at
from {{ ref('int_metering__this_run') }}
