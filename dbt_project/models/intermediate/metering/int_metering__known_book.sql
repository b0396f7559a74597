{{ config(materialized='kept', meta={'phase': 'totals', 'replaces': 'true'}) }}

select
    site_id,
    meter_id,
    said,
    said_from,
    said_to
from {{ ref('int_metering__book_rows') }}
