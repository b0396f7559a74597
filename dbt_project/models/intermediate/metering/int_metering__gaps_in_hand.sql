{{ config(materialized='in_hand', meta={'phase': 'spans'}) }}

-- The gaps whose estimates may differ: those that meet a hull or are modelled on days of it, up to 28 local days before, and all
-- that are open.
with hulls as (

    select
        site_id,
        hull_start,
        hull_end
    from {{ ref('int_metering__hulls') }}

),

gaps as (

    select
        site_id,
        meter_id,
        machine_id,
        gap_start,
        gap_end,
        before_quantity,
        before_us,
        after_quantity,
        after_us
    from {{ ref('int_metering__gaps') }}

),

open_gaps as (

    select
        site_id,
        meter_id,
        machine_id,
        gap_start,
        gap_end,
        billing_timezone
    from {{ ref('int_metering__open_gaps') }}

)

select
    gaps.site_id,
    gaps.meter_id,
    gaps.machine_id,
    gaps.gap_start,
    gaps.gap_end,
    false as is_open,
    cast(null as string) as billing_timezone,
    gaps.before_quantity,
    gaps.before_us,
    gaps.after_quantity,
    gaps.after_us
from gaps
inner join hulls
    on
        gaps.site_id = hulls.site_id
        and gaps.gap_end >= hulls.hull_start
        and gaps.gap_start <= hulls.hull_end + interval 29 day
union all
select
    site_id,
    meter_id,
    machine_id,
    gap_start,
    gap_end,
    true as is_open,
    billing_timezone,
    cast(null as decimal(38, 9)) as before_quantity,
    cast(null as bigint) as before_us,
    cast(null as decimal(38, 9)) as after_quantity,
    cast(null as bigint) as after_us
from open_gaps
