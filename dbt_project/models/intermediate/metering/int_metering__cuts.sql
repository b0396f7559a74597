-- Rule 6: intervals and estimates, cut where responsibility changes; cum(t) keeps their totals exactly.
{% set bucket_us = 30 * 24 * 3600 * 1000000 %}
with accepted as (

    select
        site_id,
        meter_id,
        metric,
        interval_start,
        interval_end,
        quantity,
        batch_id,
        ingested_at
    from {{ ref('int_metering__validated_intervals') }}
    where verdict = 'accepted'

),

estimates as (

    select
        site_id,
        meter_id,
        metric,
        billing_timezone,
        interval_start,
        interval_end,
        quantity
    from {{ ref('int_metering__estimates') }}

),

responsibilities as (

    select
        site_id,
        meter_id,
        span_start,
        span_end,
        machine_id,
        contract_id,
        term_no,
        billing_timezone,
        period,
        {{ us('span_start') }} // {{ bucket_us }} as first_bucket,
        ({{ us('span_end') }} - 1) // {{ bucket_us }} as last_bucket
    from {{ ref('int_metering__responsibilities') }}

),

intervals as (

    select
        site_id,
        meter_id,
        metric,
        interval_start,
        interval_end,
        quantity,
        false as is_estimated,
        cast(null as varchar) as billing_timezone,
        batch_id,
        ingested_at,
        {{ us('interval_start') }} // {{ bucket_us }} as first_bucket,
        ({{ us('interval_end') }} - 1) // {{ bucket_us }} as last_bucket
    from accepted
    union all
    select
        site_id,
        meter_id,
        metric,
        interval_start,
        interval_end,
        quantity,
        true as is_estimated,
        billing_timezone,
        cast(null as varchar) as batch_id,
        cast(null as timestamptz) as ingested_at,
        {{ us('interval_start') }} // {{ bucket_us }} as first_bucket,
        ({{ us('interval_end') }} - 1) // {{ bucket_us }} as last_bucket
    from estimates

),

-- Intervals meet spans in buckets of 30 days, so that the join is an equality and nothing is compared with a meter's whole history.
in_buckets as (

    select
        site_id,
        meter_id,
        metric,
        interval_start,
        interval_end,
        quantity,
        is_estimated,
        billing_timezone,
        batch_id,
        ingested_at,
        first_bucket as bucket
    from intervals
    where first_bucket = last_bucket
    union all
    select
        site_id,
        meter_id,
        metric,
        interval_start,
        interval_end,
        quantity,
        is_estimated,
        billing_timezone,
        batch_id,
        ingested_at,
        {{ each_number('first_bucket', 'last_bucket') }} as bucket
    from intervals
    where first_bucket < last_bucket

),

buckets as (

    select distinct
        site_id,
        meter_id,
        bucket
    from in_buckets

),

spans_in_buckets as (

    select
        responsibilities.site_id,
        responsibilities.meter_id,
        buckets.bucket,
        responsibilities.span_start,
        responsibilities.span_end,
        responsibilities.machine_id,
        responsibilities.contract_id,
        responsibilities.term_no,
        responsibilities.billing_timezone,
        responsibilities.period
    from responsibilities
    inner join buckets
        on
            responsibilities.site_id = buckets.site_id
            and responsibilities.meter_id = buckets.meter_id
            and responsibilities.first_bucket <= buckets.bucket
            and responsibilities.last_bucket >= buckets.bucket

),

-- A piece belongs to the bucket in which it begins.
pieces as (

    select
        in_buckets.site_id,
        in_buckets.meter_id,
        in_buckets.metric,
        spans_in_buckets.machine_id,
        spans_in_buckets.contract_id,
        spans_in_buckets.term_no,
        spans_in_buckets.period,
        spans_in_buckets.billing_timezone,
        in_buckets.interval_start,
        in_buckets.interval_end,
        in_buckets.quantity as interval_quantity,
        greatest(in_buckets.interval_start, spans_in_buckets.span_start) as piece_start,
        least(in_buckets.interval_end, spans_in_buckets.span_end) as piece_end,
        in_buckets.is_estimated,
        in_buckets.batch_id,
        in_buckets.ingested_at
    from in_buckets
    inner join spans_in_buckets
        on
            in_buckets.site_id = spans_in_buckets.site_id
            and in_buckets.meter_id = spans_in_buckets.meter_id
            and in_buckets.bucket = spans_in_buckets.bucket
            and in_buckets.interval_start < spans_in_buckets.span_end
            and in_buckets.interval_end > spans_in_buckets.span_start
            and {{ us('greatest(in_buckets.interval_start, spans_in_buckets.span_start)') }} // {{ bucket_us }} = in_buckets.bucket
            and (
                in_buckets.billing_timezone is null
                or in_buckets.billing_timezone = spans_in_buckets.billing_timezone
            )

),

measured as (

    select
        site_id,
        meter_id,
        metric,
        machine_id,
        contract_id,
        term_no,
        period,
        billing_timezone,
        interval_start,
        interval_end,
        interval_quantity,
        piece_start,
        piece_end,
        {{ us('piece_start') }} - {{ us('interval_start') }} as from_us,
        {{ us('piece_end') }} - {{ us('interval_start') }} as to_us,
        {{ us('interval_end') }} - {{ us('interval_start') }} as whole_us,
        is_estimated,
        batch_id,
        ingested_at
    from pieces

)

select
    site_id,
    meter_id,
    metric,
    machine_id,
    contract_id,
    term_no,
    period,
    billing_timezone,
    interval_start,
    interval_end,
    interval_quantity,
    piece_start,
    piece_end,
    cast(
        case
            when to_us - from_us = whole_us then interval_quantity
            else
                {{ prorate('interval_quantity', 'to_us', 'whole_us') }}
                - {{ prorate('interval_quantity', 'from_us', 'whole_us') }}
        end as decimal(38, 9)
    ) as quantity,
    is_estimated,
    batch_id,
    ingested_at
from measured
