with landed_prices as (

    select
        index_id,
        hour_start,
        price,
        currency,
        batch_id,
        ingested_at
    from {{ ref('stg_landing__index_prices') }}

),

book_prices as (

    select
        index_id,
        hour_start,
        price,
        currency
    from {{ source('book', 'index_prices') }}

),

all_prices as (

    select
        index_id,
        hour_start,
        price,
        currency,
        true as is_landed,
        batch_id,
        ingested_at
    from landed_prices
    union all
    select
        index_id,
        hour_start,
        price,
        currency,
        false as is_landed,
        '' as batch_id,
        {{ instant('1970-01-01 00:00:00+00') }} as ingested_at
    from book_prices

)

-- A landed price beats the book's; of landed ones the latest batch wins.
select
    index_id,
    hour_start,
    price,
    currency
from all_prices
qualify row_number() over (
    partition by index_id, hour_start
    order by is_landed desc, ingested_at desc, batch_id desc
) = 1
