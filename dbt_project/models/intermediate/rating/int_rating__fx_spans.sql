with fx_rates as (

    select
        date,
        base,
        quote,
        rate
    from {{ source('book', 'fx_rates') }}

),

both_ways as (

    select
        date,
        base,
        quote,
        cast(rate as decimal(38, 12)) as rate,
        false as is_inverse
    from fx_rates
    union all
    select
        date,
        quote as base,
        base as quote,
        {{ divide_round('1', 0, 'rate', 12, 12) }} as rate,
        true as is_inverse
    from fx_rates

),

-- On one date the pair as given goes before the inverse.
one_a_day as (

    select
        date,
        base,
        quote,
        min_by(rate, is_inverse) as rate
    from both_ways
    group by date, base, quote

)

select
    base,
    quote,
    date as valid_from,
    -- A rate older than 7 days is none.
    least(
        lead(date, 1, date '9999-12-31') over (partition by base, quote order by date),
        date + 8
    ) as valid_to,
    cast(rate as decimal(38, 12)) as rate
from one_a_day
