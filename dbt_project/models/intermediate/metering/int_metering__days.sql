{{ config(materialized='day_by_day') }}

-- The days whose readings, or whose part of the book, are not those that they were computed from. Whatever loops over them is named
-- here, so that this model comes after all of it:
-- depends_on: {{ ref('int_metering__day_totals') }} {{ ref('int_metering__day_shares') }} {{ ref('int_metering__day_faults') }}
-- depends_on: {{ ref('int_metering__day_rejected') }} {{ ref('int_metering__day_unassigned') }} {{ ref('int_metering__usage_days') }}
-- depends_on: {{ ref('int_metering__usage_quarters') }} {{ ref('int_metering__pieces') }} {{ ref('int_metering__gap_parts') }}
-- depends_on: {{ ref('int_metering__month_usage') }} {{ ref('int_metering__settled_range') }} {{ ref('int_metering__runs_done') }}
-- depends_on: {{ ref('usage_daily') }} {{ ref('usage_revisions') }}
with manifest as (

    select
        partition_key,
        date,
        rows,
        rows_digest
    from {{ source('manifest', 'readings') }}
    where not refused

),

noted as (

    select
        site_id,
        usage_date,
        rows_digest,
        why,
        state
    from {{ this }}

),

book_changes as (

    select
        site_id,
        change_start,
        change_end
    from {{ ref('int_metering__book_changes') }}

),

listed as (

    select
        partition_key as site_id,
        date as usage_date,
        cast(sum(rows) as bigint) as rows_listed,
        {{ combined_digest('rows_digest') }} as rows_digest
    from manifest
    group by partition_key, date

),

compared as (

    select
        coalesce(listed.site_id, noted.site_id) as site_id,
        coalesce(listed.usage_date, noted.usage_date) as usage_date,
        listed.rows_digest,
        coalesce(listed.rows_listed, 0) as rows_listed,
        coalesce(listed.rows_digest, '') != coalesce(noted.rows_digest, '')
        or noted.state = 'wanted'
        -- A run that was cut short computed it by a book that may not have stayed.
        or (noted.state = 'computed' and noted.why != 'readings') as is_read_anew
    from listed
    full outer join noted
        on
            listed.site_id = noted.site_id
            and listed.usage_date = noted.usage_date

),

with_book as (

    select
        compared.site_id,
        compared.usage_date,
        compared.rows_digest,
        compared.rows_listed,
        compared.is_read_anew,
        count(book_changes.site_id) > 0 as is_of_changed_book
    from compared
    left join book_changes
        on
            compared.site_id = book_changes.site_id
            and book_changes.change_start < {{ utc_day_start('compared.usage_date + 1') }}
            and book_changes.change_end > {{ utc_day_start('compared.usage_date') }}
    group by compared.site_id, compared.usage_date, compared.rows_digest, compared.rows_listed, compared.is_read_anew

)

select
    site_id,
    usage_date,
    rows_digest,
    rows_listed,
    case
        when is_read_anew and is_of_changed_book then 'book and readings'
        when is_read_anew then 'readings'
        else 'book'
    end as why
from with_book
where
    is_read_anew
    or is_of_changed_book
