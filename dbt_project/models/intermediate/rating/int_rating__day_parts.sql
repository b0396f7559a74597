-- depends_on: {{ ref('int_metering__days') }}
{% set day_us = 24 * 3600 * 1000000 %}
with due as (

    select
        contract_id,
        period
    from {{ ref('int_rating__scope') }}
    where is_due

),

segments as (

    select
        all_segments.contract_id,
        all_segments.term_no,
        all_segments.period,
        all_segments.billing_timezone
    from {{ ref('int_billing__segments') }} as all_segments
    inner join due
        on
            all_segments.contract_id = due.contract_id
            and all_segments.period = due.period

),

zone_spans as (

    select
        timezone,
        {{ us('from_at') }} as from_us,
        {{ us('to_at') }} as to_us,
        utc_offset_seconds * cast(1000000 as bigint) as offset_us
    from {{ source('book', 'zone_spans') }}

),

pieces as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        {{ us('interval_start') }} as interval_start_us,
        {{ us('interval_end') }} - {{ us('interval_start') }} as interval_us,
        interval_quantity,
        {{ us('piece_start') }} as piece_start_us,
        {{ us('piece_end') }} as piece_end_us,
        quantity,
        is_estimated
    from {{ ref('int_metering__pieces') }}
    where contract_id is not null

),

pieces_in_zones as (

    select
        pieces.contract_id,
        pieces.term_no,
        pieces.period,
        pieces.site_id,
        pieces.metric,
        segments.billing_timezone,
        pieces.interval_start_us,
        pieces.interval_us,
        pieces.interval_quantity,
        pieces.piece_start_us,
        pieces.piece_end_us,
        pieces.quantity,
        pieces.is_estimated,
        zone_spans.offset_us,
        greatest(pieces.piece_start_us, zone_spans.from_us) as from_us,
        least(pieces.piece_end_us, zone_spans.to_us) as to_us
    from pieces
    inner join segments
        on
            pieces.contract_id = segments.contract_id
            and pieces.term_no = segments.term_no
            and pieces.period = segments.period
    inner join zone_spans
        on
            segments.billing_timezone = zone_spans.timezone
            and pieces.piece_start_us < zone_spans.to_us
            and pieces.piece_end_us > zone_spans.from_us

),

piece_days as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        interval_start_us,
        interval_us,
        interval_quantity,
        piece_start_us,
        piece_end_us,
        quantity,
        is_estimated,
        offset_us,
        from_us,
        to_us,
        {{ each_number(int_div('from_us + offset_us', day_us), int_div('to_us + offset_us - 1', day_us)) }} as local_day
    from pieces_in_zones

)

select
    contract_id,
    term_no,
    period,
    site_id,
    metric,
    interval_start_us,
    interval_us,
    interval_quantity,
    piece_start_us,
    piece_end_us,
    quantity,
    is_estimated,
    {{ date_of_us('local_day * ' ~ day_us) }} as local_date,
    greatest(from_us, local_day * {{ day_us }} - offset_us) as part_start_us,
    least(to_us, (local_day + 1) * {{ day_us }} - offset_us) as part_end_us
from piece_days
