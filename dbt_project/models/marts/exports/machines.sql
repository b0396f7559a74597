select
    machine_id,
    site_id,
    meter_id,
    valid_from_at,
    valid_to_at,
    metrics,
    model,
    rated_kw,
    asset_tag,
    never_suspend,
    row_no
from {{ source('book', 'placements') }}
