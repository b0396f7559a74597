-- Where in time the book says something else of a meter than when its days were computed: the spans that a row covers now and did
-- not, or did.
with book_rows as (

    select
        site_id,
        meter_id,
        said,
        said_from,
        said_to
    from {{ ref('int_metering__book_rows') }}

),

known_book as (

    select
        site_id,
        meter_id,
        said,
        said_from,
        said_to
    from {{ ref('int_metering__known_book') }}

),

came as (

    select
        site_id,
        meter_id,
        said,
        said_from,
        said_to
    from book_rows
    except all
    select
        site_id,
        meter_id,
        said,
        said_from,
        said_to
    from known_book

),

went as (

    select
        site_id,
        meter_id,
        said,
        said_from,
        said_to
    from known_book
    except all
    select
        site_id,
        meter_id,
        said,
        said_from,
        said_to
    from book_rows

),

steps as (

    select
        site_id,
        meter_id,
        said,
        said_from as step_at,
        1 as step
    from came
    union all
    select
        site_id,
        meter_id,
        said,
        said_to as step_at,
        -1 as step
    from came
    union all
    select
        site_id,
        meter_id,
        said,
        said_from as step_at,
        -1 as step
    from went
    union all
    select
        site_id,
        meter_id,
        said,
        said_to as step_at,
        1 as step
    from went

),

moments as (

    select
        site_id,
        meter_id,
        said,
        step_at,
        sum(step) as step
    from steps
    group by site_id, meter_id, said, step_at

),

spans as (

    select
        site_id,
        step_at as change_start,
        sum(step) over said_in_time as difference,
        lead(step_at) over said_in_time as change_end
    from moments
    window said_in_time as (
        partition by site_id, meter_id, said
        order by step_at
    )

)

select distinct
    site_id,
    change_start,
    change_end
from spans
where
    difference != 0
    and change_end is not null
