{{ config(materialized='in_hand', meta={'phase': 'days and spans'}) }}

-- What rule 6 cuts along: for each meter, who is responsible when.
with windows as (

    select
        site_id,
        meter_id,
        window_start,
        window_end
    from {{ ref('int_metering__windows') }}

),

placements as (

    select
        site_id,
        meter_id,
        machine_id,
        valid_from_at,
        valid_to_at
    from {{ source('book', 'placements') }}

),

contract_spans as (

    select
        site_id,
        meter_id,
        machine_id,
        contract_id,
        term_no,
        billing_timezone,
        span_start,
        span_end
    from {{ ref('int_metering__contract_spans') }}

),

zone_months as (

    select
        timezone,
        period,
        start_at,
        end_at
    from {{ source('book', 'zone_months') }}

),

placed as (

    select
        windows.site_id,
        windows.meter_id,
        placements.machine_id,
        greatest(placements.valid_from_at, windows.window_start) as span_start,
        least(placements.valid_to_at, windows.window_end) as span_end
    from windows
    inner join placements
        on
            windows.site_id = placements.site_id
            and windows.meter_id = placements.meter_id
            and windows.window_end > placements.valid_from_at
            and (placements.valid_to_at is null or windows.window_start < placements.valid_to_at)

),

months as (

    select
        zone_months.timezone,
        zone_months.period,
        zone_months.start_at,
        zone_months.end_at
    from zone_months
    where
        zone_months.end_at > (select min(windows.window_start) from windows)
        and zone_months.start_at < (select max(windows.window_end) from windows)

),

in_periods as (

    select
        windows.site_id,
        windows.meter_id,
        contract_spans.contract_id,
        contract_spans.term_no,
        contract_spans.billing_timezone,
        months.period,
        greatest(contract_spans.span_start, windows.window_start, months.start_at) as span_start,
        least(contract_spans.span_end, windows.window_end, months.end_at) as span_end
    from windows
    inner join contract_spans
        on
            windows.site_id = contract_spans.site_id
            and windows.meter_id = contract_spans.meter_id
            and windows.window_end > contract_spans.span_start
            and (contract_spans.span_end is null or windows.window_start < contract_spans.span_end)
    inner join months
        on
            contract_spans.billing_timezone = months.timezone
            and windows.window_end > months.start_at
            and windows.window_start < months.end_at
            and months.start_at < coalesce(contract_spans.span_end, windows.window_end)
            and contract_spans.span_start < months.end_at

),

cuts as (

    select
        site_id,
        meter_id,
        span_start as cut_at
    from in_periods
    union
    select
        site_id,
        meter_id,
        span_end as cut_at
    from in_periods
    union
    select
        site_id,
        meter_id,
        span_start as cut_at
    from placed
    union
    select
        site_id,
        meter_id,
        span_end as cut_at
    from placed
    union
    select
        site_id,
        meter_id,
        window_start as cut_at
    from windows
    union
    select
        site_id,
        meter_id,
        window_end as cut_at
    from windows

),

spans as (

    select
        site_id,
        meter_id,
        cut_at as span_start,
        lead(cut_at) over (partition by site_id, meter_id order by cut_at) as span_end
    from cuts

)

-- Nothing is cut inside a span of in_periods, so its start finds it.
select
    {{ any_number() }} as span_no,
    spans.site_id,
    spans.meter_id,
    spans.span_start,
    spans.span_end,
    placed.machine_id,
    in_periods.contract_id,
    in_periods.term_no,
    in_periods.billing_timezone,
    in_periods.period
from spans
left join placed
    on
        spans.site_id = placed.site_id
        and spans.meter_id = placed.meter_id
        and spans.span_start >= placed.span_start
        and spans.span_start < placed.span_end
left join in_periods
    on
        spans.site_id = in_periods.site_id
        and spans.meter_id = in_periods.meter_id
        and spans.span_start = in_periods.span_start
where spans.span_end is not null
