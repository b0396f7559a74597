{{ config(materialized='kept', meta={'phase': 'totals', 'replaces': 'true'}) }}

select first_landed_at
from {{ ref('int_metering__landed') }}
