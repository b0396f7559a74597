-- depends_on: {{ ref('int_metering__days') }}
with paused_spans as (

    select
        suspension_id,
        machine_id,
        site_id,
        paused_from,
        paused_to,
        {{ utc_date('paused_from') }} as from_day,
        {{ utc_date('paused_to') }} as to_day
    from {{ ref('int_billing__paused_spans') }}

),

-- Of energy only what was measured: a guess proves nothing.
usage_daily as (

    select
        site_id,
        machine_id,
        usage_date,
        sum(metered_quantity) as metered_quantity,
        sum(estimated_quantity) as estimated_quantity
    from {{ ref('usage_daily') }}
    where metric = 'energy' and machine_id in (select paused_spans.machine_id from paused_spans)
    group by site_id, machine_id, usage_date

),

-- Days of other clocks begin and end within a day of UTC's: what is left are whole days.
days as (

    select
        paused_spans.suspension_id,
        paused_spans.machine_id,
        paused_spans.site_id,
        paused_spans.paused_from,
        usage_daily.usage_date,
        usage_daily.metered_quantity,
        usage_daily.estimated_quantity,
        usage_daily.usage_date > paused_spans.from_day as is_paused
    from paused_spans
    inner join usage_daily
        on
            paused_spans.machine_id = usage_daily.machine_id
            and paused_spans.site_id = usage_daily.site_id
            and (
                (paused_spans.from_day - 15 <= usage_daily.usage_date and paused_spans.from_day - 1 > usage_daily.usage_date)
                or (
                    paused_spans.from_day + 1 < usage_daily.usage_date
                    and coalesce(paused_spans.to_day - 1 > usage_daily.usage_date, true)
                )
            )

),

measured as (

    select
        suspension_id,
        machine_id,
        site_id,
        paused_from,
        usage_date,
        metered_quantity,
        is_paused,
        row_number() over (
            partition by suspension_id, machine_id, site_id, paused_from, is_paused
            order by usage_date desc
        ) as day_no
    from days
    where metered_quantity > 0 or estimated_quantity = 0

),

totals as (

    select
        suspension_id,
        machine_id,
        site_id,
        paused_from,
        cast(count(*) filter (where not is_paused) as bigint) as days_before,
        cast(coalesce(sum(metered_quantity) filter (where not is_paused), 0) as decimal(38, 9)) as kwh_before,
        cast(count(*) filter (where is_paused and day_no <= 7) as bigint) as days_paused,
        cast(coalesce(sum(metered_quantity) filter (where is_paused and day_no <= 7), 0) as decimal(38, 9)) as kwh_paused,
        max(usage_date) filter (where is_paused) as last_day
    from measured
    group by suspension_id, machine_id, site_id, paused_from

),

estimated as (

    select
        suspension_id,
        machine_id,
        site_id,
        paused_from,
        cast(sum(estimated_quantity) as decimal(38, 9)) as kwh_estimated,
        max(usage_date) as last_estimated_day
    from days
    where is_paused and estimated_quantity > 0
    group by suspension_id, machine_id, site_id, paused_from

)

select
    paused_spans.suspension_id,
    paused_spans.machine_id,
    paused_spans.site_id,
    paused_spans.paused_from,
    paused_spans.paused_to,
    coalesce(totals.days_before, 0) as days_before,
    case when totals.days_before > 0 then {{ divide_round('totals.kwh_before', 9, 'totals.days_before', 0, 3) }} end
        as daily_kwh_before,
    coalesce(totals.days_paused, 0) as days_paused,
    case when totals.days_paused > 0 then {{ divide_round('totals.kwh_paused', 9, 'totals.days_paused', 0, 3) }} end
        as daily_kwh_paused,
    totals.last_day,
    estimated.kwh_estimated,
    estimated.last_estimated_day,
    -- Fell: by more than half. Standby power, and a meter that counts more than the machine, are left over.
    case
        when totals.days_before > 0 and totals.kwh_before > 0 and totals.days_paused > 0
            then
                {{ exact_product('totals.kwh_paused', 9, '2 * totals.days_before', 0) }}
                < {{ exact_product('totals.kwh_before', 9, 'totals.days_paused', 0) }}
    end as has_fallen
from paused_spans
left join totals
    on
        paused_spans.suspension_id = totals.suspension_id
        and paused_spans.machine_id = totals.machine_id
        and paused_spans.site_id = totals.site_id
        and paused_spans.paused_from = totals.paused_from
left join estimated
    on
        paused_spans.suspension_id = estimated.suspension_id
        and paused_spans.machine_id = estimated.machine_id
        and paused_spans.site_id = estimated.site_id
        and paused_spans.paused_from = estimated.paused_from
