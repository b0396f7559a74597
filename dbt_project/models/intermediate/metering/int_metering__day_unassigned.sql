{{ config(materialized='kept', meta={'phase': 'days'}) }}

-- Rule 7 inside days. Usage that several parts of one interval leave unassigned is one occurrence.
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

nobodys as (

    select
        site_id,
        meter_id,
        machine_id,
        span_start,
        span_end
    from {{ ref('int_metering__responsibilities') }}
    where contract_id is null

),

pieces as (

    select
        accepted.site_id,
        accepted.meter_id,
        accepted.metric,
        nobodys.machine_id,
        accepted.interval_start,
        accepted.interval_end,
        accepted.quantity,
        accepted.batch_id,
        accepted.ingested_at,
        {{ us('greatest(accepted.interval_start, nobodys.span_start)') }} - {{ us('accepted.interval_start') }} as from_us,
        {{ us('least(accepted.interval_end, nobodys.span_end)') }} - {{ us('accepted.interval_start') }} as to_us,
        {{ us('accepted.interval_end') }} - {{ us('accepted.interval_start') }} as whole_us
    from accepted
    inner join nobodys
        on
            accepted.site_id = nobodys.site_id
            and accepted.meter_id = nobodys.meter_id
            and accepted.interval_start < nobodys.span_end
            and accepted.interval_end > nobodys.span_start

),

of_intervals as (

    select
        site_id,
        meter_id,
        metric,
        machine_id,
        interval_start,
        interval_end,
        cast(
            sum(case
                when to_us - from_us = whole_us then quantity
                else {{ prorate('quantity', 'to_us', 'whole_us') }} - {{ prorate('quantity', 'from_us', 'whole_us') }}
            end) as decimal(38, 9)
        ) as quantity,
        min(batch_id) as batch_id,
        min(ingested_at) as ingested_at
    from pieces
    group by site_id, meter_id, metric, machine_id, interval_start, interval_end

)

select
    site_id,
    {{ utc_date('interval_start') }} as usage_date,
    meter_id,
    metric,
    machine_id,
    count(*) as intervals,
    cast(sum(quantity) as decimal(38, 9)) as quantity,
    min(interval_start) as first_start,
    min(ingested_at) as first_seen
from of_intervals
where quantity > 0
group by site_id, {{ utc_date('interval_start') }}, meter_id, metric, machine_id
