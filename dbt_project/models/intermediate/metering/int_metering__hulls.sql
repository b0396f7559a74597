{{ config(materialized='in_hand', meta={'phase': 'spans'}) }}

-- Per site the span of time in which anything changed. What meets it, also at its ends, is worked out anew.
with days_computed as (

    select
        site_id,
        usage_date
    from {{ ref('int_metering__days_computed') }}

),

book_changes as (

    select
        site_id,
        change_start,
        change_end
    from {{ ref('int_metering__book_changes') }}

),

landed as (

    select
        first_landed_at,
        all_from,
        all_to
    from {{ ref('int_metering__landed') }}

),

settled_range as (

    select first_landed_at
    from {{ ref('int_metering__settled_range') }}

),

pending_hulls as (

    select
        site_id,
        hull_start,
        hull_end
    from {{ ref('int_metering__pending_hulls') }}

),

sites as (

    select site_id
    from {{ source('book', 'sites') }}

),

-- How far back anybody's gaps are told depends on the first landed row of all sites.
is_first_another as (

    select
        landed.all_from,
        landed.all_to
    from landed
    left join settled_range
        on landed.first_landed_at = settled_range.first_landed_at
    where settled_range.first_landed_at is null

),

changed as (

    select
        site_id,
        {{ utc_day_start('usage_date') }} as change_start,
        {{ utc_day_start('usage_date + 1') }} as change_end
    from days_computed
    union all
    -- Usage set by hand may lie far from all that has landed, so a change of the book reaches as far as it says; only endless time is no
    -- instant to count with.
    select
        site_id,
        greatest(change_start, {{ instant('1900-01-01 00:00:00+00') }}) as change_start,
        least(change_end, {{ instant('9000-01-01 00:00:00+00') }}) as change_end
    from book_changes
    union all
    select
        sites.site_id,
        is_first_another.all_from as change_start,
        is_first_another.all_to as change_end
    from sites
    cross join is_first_another
    union all
    select
        site_id,
        hull_start as change_start,
        hull_end as change_end
    from pending_hulls

)

select
    site_id,
    min(change_start) as hull_start,
    max(change_end) as hull_end
from changed
where change_start < change_end
group by site_id
