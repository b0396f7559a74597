{{ config(materialized='in_hand', meta={'phase': 'days'}) }}

-- Rule 6 inside the days in hand: usage by responsibility and quarter-hour. All finer bounds than those of responsibility (bands, index hours,
-- demand windows, local hours and days) lie on quarter-hours, and cum(t) gives the same whatever else is cut.
{% set quarter_us = 900000000 %}
with accepted as (

    select
        site_id,
        meter_id,
        metric,
        interval_start,
        interval_end,
        quantity
    from {{ ref('int_metering__validated_intervals') }}
    where verdict = 'accepted'

),

responsibilities as (

    select
        span_no,
        site_id,
        meter_id,
        span_start,
        span_end
    from {{ ref('int_metering__responsibilities') }}

),

pieces as (

    select
        responsibilities.span_no,
        accepted.metric,
        accepted.quantity,
        {{ us('accepted.interval_start') }} as start_us,
        {{ us('accepted.interval_end') }} as end_us,
        greatest({{ us('accepted.interval_start') }}, {{ us('responsibilities.span_start') }}) as piece_start_us,
        least({{ us('accepted.interval_end') }}, {{ us('responsibilities.span_end') }}) as piece_end_us
    from accepted
    inner join responsibilities
        on
            accepted.site_id = responsibilities.site_id
            and accepted.meter_id = responsibilities.meter_id
            and accepted.interval_start < responsibilities.span_end
            and accepted.interval_end > responsibilities.span_start

),

whole as (

    select
        span_no,
        metric,
        piece_start_us // {{ quarter_us }} as quarter_no,
        quantity,
        piece_end_us - piece_start_us as covered_us
    from pieces
    where
        piece_start_us // {{ quarter_us }} = (piece_end_us - 1) // {{ quarter_us }}
        and piece_start_us = start_us
        and piece_end_us = end_us

),

crossing as (

    select
        span_no,
        metric,
        quantity,
        start_us,
        end_us,
        piece_start_us,
        piece_end_us,
        {{ each_number('piece_start_us // ' ~ quarter_us, '(piece_end_us - 1) // ' ~ quarter_us) }} as quarter_no
    from pieces
    where
        piece_start_us // {{ quarter_us }} != (piece_end_us - 1) // {{ quarter_us }}
        or piece_start_us != start_us
        or piece_end_us != end_us

),

cuts as (

    select
        span_no,
        metric,
        quarter_no,
        quantity,
        end_us - start_us as whole_us,
        greatest(piece_start_us, quarter_no * {{ quarter_us }}) - start_us as from_us,
        least(piece_end_us, (quarter_no + 1) * {{ quarter_us }}) - start_us as to_us
    from crossing

),

parts as (

    select
        span_no,
        metric,
        quarter_no,
        quantity,
        covered_us
    from whole
    union all
    select
        span_no,
        metric,
        quarter_no,
        {{ prorate('quantity', 'to_us', 'whole_us') }} - {{ prorate('quantity', 'from_us', 'whole_us') }} as quantity,
        to_us - from_us as covered_us
    from cuts

)

select
    span_no,
    metric,
    quarter_no,
    cast(sum(quantity) as decimal(38, 9)) as quantity,
    cast(sum(covered_us) as bigint) as covered_us
from parts
group by span_no, metric, quarter_no
