{{ config(
    materialized='kept',
    meta={
        'phase': 'spans',
        'touches': true,
        'replaces': "case [self].origin"
            " when 'open' then true"
            " when 'gap' then exists (select 1 from [hulls] as hulls where hulls.site_id = [self].site_id"
            " and hulls.hull_start <= [self].gap_end and hulls.hull_end + interval 29 day >= [self].gap_start)"
            " else exists (select 1 from [hulls] as hulls where hulls.site_id = [self].site_id"
            " and hulls.hull_start <= [self].interval_end and hulls.hull_end >= [self].interval_start) end"
    }
) }}

-- Rule 6 over the bounds of days: intervals and estimates, cut where responsibility changes; cum(t) keeps their totals exactly.
{% set bucket_us = 30 * 24 * 3600 * 1000000 %}
with hulls as (

    select
        site_id,
        hull_start,
        hull_end
    from {{ ref('int_metering__hulls') }}

),

wide_intervals as (

    select
        site_id,
        meter_id,
        metric,
        interval_start,
        interval_end,
        quantity,
        batch_id,
        ingested_at
    from {{ ref('int_metering__wide_intervals') }}
    where verdict = 'accepted'

),

estimates as (

    select
        site_id,
        meter_id,
        metric,
        method,
        is_open,
        billing_timezone,
        gap_start,
        gap_end,
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
        period
    from {{ ref('int_metering__responsibilities') }}

),

intervals as (

    select
        wide_intervals.site_id,
        wide_intervals.meter_id,
        wide_intervals.metric,
        'measured' as origin,
        cast(null as string) as method,
        wide_intervals.interval_start,
        wide_intervals.interval_end,
        wide_intervals.quantity,
        cast(null as string) as billing_timezone,
        cast(null as {{ instant_type() }}) as gap_start,
        cast(null as {{ instant_type() }}) as gap_end,
        wide_intervals.batch_id,
        wide_intervals.ingested_at
    from wide_intervals
    inner join hulls
        on
            wide_intervals.site_id = hulls.site_id
            and wide_intervals.interval_end >= hulls.hull_start
            and wide_intervals.interval_start <= hulls.hull_end
    union all
    select
        site_id,
        meter_id,
        metric,
        case when is_open then 'open' else 'gap' end as origin,
        method,
        interval_start,
        interval_end,
        quantity,
        billing_timezone,
        gap_start,
        gap_end,
        cast(null as string) as batch_id,
        cast(null as {{ instant_type() }}) as ingested_at
    from estimates

),

sites as (

    select
        site_id,
        timezone
    from {{ source('book', 'sites') }}

),

-- Intervals meet spans in buckets of 30 days, so that the join is an equality and nothing is compared with a meter's whole history.
in_buckets as (

    select
        site_id,
        meter_id,
        metric,
        origin,
        method,
        interval_start,
        interval_end,
        quantity,
        billing_timezone,
        gap_start,
        gap_end,
        batch_id,
        ingested_at,
        {{ each_number(int_div(us('interval_start'), bucket_us), int_div(us('interval_end') ~ ' - 1', bucket_us)) }} as bucket
    from intervals

),

spans_in_buckets as (

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
        {{ each_number(int_div(us('span_start'), bucket_us), int_div(us('span_end') ~ ' - 1', bucket_us)) }} as bucket
    from responsibilities

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
        in_buckets.origin,
        in_buckets.method,
        in_buckets.interval_start,
        in_buckets.interval_end,
        in_buckets.quantity as interval_quantity,
        greatest(in_buckets.interval_start, spans_in_buckets.span_start) as piece_start,
        least(in_buckets.interval_end, spans_in_buckets.span_end) as piece_end,
        in_buckets.gap_start,
        in_buckets.gap_end,
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
            and {{ int_div(us('greatest(in_buckets.interval_start, spans_in_buckets.span_start)'), bucket_us) }} = in_buckets.bucket
    -- What of an estimate falls to nobody, or to contracts whose last period it lies behind, is dropped.
    where
        in_buckets.origin = 'measured'
        or (
            spans_in_buckets.contract_id is not null
            and (in_buckets.billing_timezone is null or in_buckets.billing_timezone = spans_in_buckets.billing_timezone)
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
        origin,
        method,
        interval_start,
        interval_end,
        interval_quantity,
        piece_start,
        piece_end,
        gap_start,
        gap_end,
        {{ us('piece_start') }} - {{ us('interval_start') }} as from_us,
        {{ us('piece_end') }} - {{ us('interval_start') }} as to_us,
        {{ us('interval_end') }} - {{ us('interval_start') }} as whole_us,
        batch_id,
        ingested_at
    from pieces

)

select
    measured.site_id,
    measured.meter_id,
    measured.metric,
    measured.machine_id,
    measured.contract_id,
    measured.term_no,
    measured.period,
    measured.billing_timezone,
    -- On whose clock it is dated: what falls to nobody, on that of its site.
    coalesce(measured.billing_timezone, sites.timezone) as timezone,
    measured.origin,
    measured.origin != 'measured' as is_estimated,
    measured.method,
    measured.interval_start,
    measured.interval_end,
    measured.interval_quantity,
    measured.piece_start,
    measured.piece_end,
    cast(
        case
            when measured.to_us - measured.from_us = measured.whole_us then measured.interval_quantity
            else
                {{ prorate('measured.interval_quantity', 'measured.to_us', 'measured.whole_us') }}
                - {{ prorate('measured.interval_quantity', 'measured.from_us', 'measured.whole_us') }}
        end as decimal(38, 9)
    ) as quantity,
    measured.gap_start,
    measured.gap_end,
    measured.batch_id,
    measured.ingested_at
from measured
left join sites
    on measured.site_id = sites.site_id
