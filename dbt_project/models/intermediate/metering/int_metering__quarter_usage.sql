{{ config(materialized='in_hand', meta={'phase': 'days'}) }}

-- Rule 6 inside the days in hand: usage by responsibility and quarter-hour. All finer bounds than those of responsibility (bands,
-- index hours, demand windows, local hours and days) lie on quarter-hours, and cum(t) gives the same whatever else is cut.
{% set quarter_us = 900000000 %}
with used_readings as (

    select
        meter_day_no,
        interval_start,
        interval_end,
        quantity
    from {{ ref('int_metering__used_readings') }}

),

used_tallies as (

    select
        meter_day_no,
        site_id,
        meter_id,
        metric,
        first_start,
        last_end,
        is_in_quarters
    from {{ ref('int_metering__used_tallies') }}
    where is_plain

),

validated_intervals as (

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

plain_spans as (

    select
        used_tallies.meter_day_no,
        used_tallies.metric,
        responsibilities.span_no,
        responsibilities.span_start,
        responsibilities.span_end,
        used_tallies.is_in_quarters
        and responsibilities.span_start <= used_tallies.first_start
        and responsibilities.span_end >= used_tallies.last_end as is_uncut
    from used_tallies
    inner join responsibilities
        on
            used_tallies.site_id = responsibilities.site_id
            and used_tallies.meter_id = responsibilities.meter_id
            and used_tallies.first_start < responsibilities.span_end
            and used_tallies.last_end > responsibilities.span_start

),

-- Where one span holds all day and every interval lies in one quarter-hour there is nothing to cut.
uncut as (

    select
        plain_spans.span_no,
        plain_spans.metric,
        {{ int_div(us('used_readings.interval_start'), quarter_us) }} as quarter_no,
        used_readings.quantity,
        {{ us('used_readings.interval_end') }} - {{ us('used_readings.interval_start') }} as covered_us
    from used_readings
    inner join plain_spans
        on used_readings.meter_day_no = plain_spans.meter_day_no
    where plain_spans.is_uncut

),

met as (

    select
        plain_spans.span_no,
        plain_spans.metric,
        used_readings.quantity,
        used_readings.interval_start,
        used_readings.interval_end,
        plain_spans.span_start,
        plain_spans.span_end
    from used_readings
    inner join plain_spans
        on
            used_readings.meter_day_no = plain_spans.meter_day_no
            and used_readings.interval_start < plain_spans.span_end
            and used_readings.interval_end > plain_spans.span_start
    where not plain_spans.is_uncut
    union all
    select
        responsibilities.span_no,
        validated_intervals.metric,
        validated_intervals.quantity,
        validated_intervals.interval_start,
        validated_intervals.interval_end,
        responsibilities.span_start,
        responsibilities.span_end
    from validated_intervals
    inner join responsibilities
        on
            validated_intervals.site_id = responsibilities.site_id
            and validated_intervals.meter_id = responsibilities.meter_id
            and validated_intervals.interval_start < responsibilities.span_end
            and validated_intervals.interval_end > responsibilities.span_start

),

pieces as (

    select
        span_no,
        metric,
        quantity,
        {{ us('interval_start') }} as start_us,
        {{ us('interval_end') }} as end_us,
        {{ us('greatest(interval_start, span_start)') }} as piece_start_us,
        {{ us('least(interval_end, span_end)') }} as piece_end_us
    from met

),

whole as (

    select
        span_no,
        metric,
        {{ int_div('piece_start_us', quarter_us) }} as quarter_no,
        quantity,
        piece_end_us - piece_start_us as covered_us
    from pieces
    where
        {{ int_div('piece_start_us', quarter_us) }} = {{ int_div('piece_end_us - 1', quarter_us) }}
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
        {{ each_number(int_div('piece_start_us', quarter_us), int_div('piece_end_us - 1', quarter_us)) }} as quarter_no
    from pieces
    where
        {{ int_div('piece_start_us', quarter_us) }} != {{ int_div('piece_end_us - 1', quarter_us) }}
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
    from uncut
    union all
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
