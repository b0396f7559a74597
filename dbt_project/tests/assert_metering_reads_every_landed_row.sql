-- What the manifest lists is what the reconciliation counts: no file and no row is passed over.
with manifest as (

    select rows
    from {{ source('manifest', 'readings') }}
    where not refused

),

usage_reconciliation as (

    select rows_landed
    from {{ ref('usage_reconciliation') }}

),

listed as (

    select coalesce(sum(rows), 0) as rows_listed
    from manifest

),

counted as (

    select coalesce(sum(rows_landed), 0) as rows_counted
    from usage_reconciliation

)

select
    listed.rows_listed,
    counted.rows_counted
from listed
cross join counted
where listed.rows_listed != counted.rows_counted
