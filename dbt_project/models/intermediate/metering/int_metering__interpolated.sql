-- Rule 5, `interpolate`: short gaps between two accepted intervals, filled at the mean of their mean powers.
with gaps as (

    select
        site_id,
        meter_id,
        machine_id,
        gap_start,
        gap_end,
        before_quantity,
        before_us,
        after_quantity,
        after_us,
        {{ us('gap_end') }} - {{ us('gap_start') }} as gap_us
    from {{ ref('int_metering__gaps_in_hand') }}
    where
        before_us is not null
        and after_us is not null

),

sites as (

    select site_id
    from {{ source('book', 'sites') }}
    where estimation in ('interpolate', 'like_day')

),

short_gaps as (

    select
        gaps.site_id,
        gaps.meter_id,
        gaps.machine_id,
        gaps.gap_start,
        gaps.gap_end,
        gaps.before_quantity,
        gaps.before_us,
        gaps.after_quantity,
        gaps.after_us,
        gaps.gap_us,
        gcd(gcd(gaps.before_us, gaps.after_us), gaps.gap_us) as shared_us
    from gaps
    inner join sites
        on gaps.site_id = sites.site_id
    where gaps.gap_us <= 2 * 3600 * cast(1000000 as bigint)

),

-- Spans are counted in their greatest common part: the quotient is the same and the products stay small.
in_shared_parts as (

    select
        site_id,
        meter_id,
        machine_id,
        gap_start,
        gap_end,
        {{ scaled_integer('before_quantity', 9) }} as before_parts,
        {{ scaled_integer('after_quantity', 9) }} as after_parts,
        cast({{ int_div('before_us', 'shared_us') }} as {{ whole_type() }}) as before_span,
        cast({{ int_div('after_us', 'shared_us') }} as {{ whole_type() }}) as after_span,
        cast({{ int_div('gap_us', 'shared_us') }} as {{ whole_type() }}) as gap_span
    from short_gaps

)

-- (before ÷ its span + after ÷ its span) ÷ 2 × the gap, over one denominator so that it is rounded once.
select
    site_id,
    meter_id,
    machine_id,
    gap_start,
    gap_end,
    {{ unscaled_decimal(
        divide_nearest(
            '((before_parts * after_span + after_parts * before_span) * gap_span)',
            '(2 * before_span * after_span)'
        ), 9
    ) }} as quantity
from in_shared_parts
