-- depends_on: {{ ref('int_metering__days') }}
{% set quarter_us = 900000000 %}
with charges as (

    select
        contract_id,
        term_no,
        period,
        plan_id,
        plan_version,
        charge_code,
        charge_model,
        metric,
        calendar_id,
        case charge_model when 'index' then 60 else window_minutes end as window_minutes
    from {{ ref('int_rating__segment_charges') }}
    where
        charge_model
        in ('per_unit', 'graduated', 'volume', 'package', 'stairstep', 'time_of_use', 'index', 'demand')

),

charge_sites as (

    select
        plan_id,
        version,
        code,
        site_id
    from {{ source('book', 'charge_sites') }}

),

segments as (

    select
        contract_id,
        term_no,
        period,
        billing_timezone,
        segment_start,
        segment_end
    from {{ ref('int_billing__segments') }}

),

usage_days as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        local_date,
        quantity
    from {{ ref('int_metering__usage_days') }}
    where contract_id is not null

),

window_usage as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        window_minutes,
        window_start,
        quantity
    from {{ ref('int_rating__window_usage') }}

),

placed_charges as (

    select
        charges.contract_id,
        charges.term_no,
        charges.period,
        charges.charge_code,
        charges.charge_model,
        charges.metric,
        charges.calendar_id,
        charges.window_minutes,
        charge_sites.site_id,
        segments.billing_timezone
    from charges
    inner join charge_sites
        on
            charges.plan_id = charge_sites.plan_id
            and charges.plan_version = charge_sites.version
            and charges.charge_code = charge_sites.code
    inner join segments
        on
            charges.contract_id = segments.contract_id
            and charges.term_no = segments.term_no
            and charges.period = segments.period

),

places as (

    select distinct
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        billing_timezone
    from placed_charges
    where charge_model not in ('index', 'demand')

),

quarter_dates as (

    select
        timezone,
        quarter_no,
        local_date
    from {{ ref('int_rating__quarter_dates') }}

),

day_parts as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        local_date,
        interval_start_us,
        interval_us,
        interval_quantity,
        piece_start_us,
        piece_end_us,
        part_start_us,
        part_end_us,
        quantity,
        is_estimated
    from {{ ref('int_rating__day_parts') }}

),

measured as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        local_date,
        quantity,
        false as is_estimated
    from usage_days
    union all
    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        local_date,
        case
            when part_start_us = piece_start_us and part_end_us = piece_end_us then quantity
            else
                {{ prorate('interval_quantity', 'part_end_us - interval_start_us', 'interval_us') }}
                - {{ prorate('interval_quantity', 'part_start_us - interval_start_us', 'interval_us') }}
        end as quantity,
        is_estimated
    from day_parts

),

day_usage as (

    select
        measured.contract_id,
        measured.term_no,
        measured.period,
        measured.site_id,
        measured.metric,
        measured.local_date,
        cast(sum(measured.quantity) as decimal(38, 9)) as quantity,
        cast(sum(case when measured.is_estimated then measured.quantity else 0 end) as decimal(38, 9)) as estimated_quantity
    from measured
    inner join places
        on
            measured.contract_id = places.contract_id
            and measured.term_no = places.term_no
            and measured.period = places.period
            and measured.site_id = places.site_id
            and measured.metric = places.metric
    group by
        measured.contract_id,
        measured.term_no,
        measured.period,
        measured.site_id,
        measured.metric,
        measured.local_date

),

band_days as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        calendar_id,
        local_date,
        band,
        quantity,
        estimated_quantity
    from {{ ref('int_rating__band_days') }}

),

priced_hours as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        {{ utc_date('hour_start') }} as usage_date,
        quantity,
        -- Larger ones would outgrow the sum of a month at 25 decimals.
        case when abs(thousandfold) < 1000000000000 then thousandfold end as thousandfold
    from {{ ref('int_rating__priced_hours') }}

),

-- Numbered before they are dated, or the windows of a contract would meet every date.
windows as {{ computed_once() }} (

    select
        placed_charges.contract_id,
        placed_charges.term_no,
        placed_charges.period,
        placed_charges.charge_code,
        placed_charges.site_id,
        placed_charges.billing_timezone,
        -- A window that the segment cuts is dated by its first quarter-hour inside.
        {{ int_div(us('greatest(window_usage.window_start, segments.segment_start)'), quarter_us) }} as quarter_no,
        window_usage.window_start,
        window_usage.quantity
    from placed_charges
    inner join window_usage
        on
            placed_charges.contract_id = window_usage.contract_id
            and placed_charges.term_no = window_usage.term_no
            and placed_charges.period = window_usage.period
            and placed_charges.site_id = window_usage.site_id
            and placed_charges.window_minutes = window_usage.window_minutes
    inner join segments
        on
            placed_charges.contract_id = segments.contract_id
            and placed_charges.term_no = segments.term_no
            and placed_charges.period = segments.period
    where placed_charges.charge_model = 'demand'

),

windowed as (

    select
        windows.contract_id,
        windows.term_no,
        windows.period,
        windows.charge_code,
        windows.site_id,
        quarter_dates.local_date,
        windows.window_start,
        windows.quantity
    from windows
    inner join quarter_dates
        on
            windows.billing_timezone = quarter_dates.timezone
            and windows.quarter_no = quarter_dates.quarter_no

)

select
    placed_charges.contract_id,
    placed_charges.term_no,
    placed_charges.period,
    placed_charges.charge_code,
    placed_charges.site_id,
    cast(null as string) as band,
    day_usage.local_date as usage_date,
    day_usage.quantity,
    day_usage.estimated_quantity,
    cast(null as decimal(38, 25)) as exact_amount,
    cast(null as {{ instant_type() }}) as peak_start,
    cast(null as decimal(38, 9)) as peak_quantity
from placed_charges
inner join day_usage
    on
        placed_charges.contract_id = day_usage.contract_id
        and placed_charges.term_no = day_usage.term_no
        and placed_charges.period = day_usage.period
        and placed_charges.site_id = day_usage.site_id
        and placed_charges.metric = day_usage.metric
where placed_charges.charge_model not in ('time_of_use', 'index', 'demand')
union all
select
    placed_charges.contract_id,
    placed_charges.term_no,
    placed_charges.period,
    placed_charges.charge_code,
    placed_charges.site_id,
    band_days.band,
    band_days.local_date as usage_date,
    band_days.quantity,
    band_days.estimated_quantity,
    cast(null as decimal(38, 25)) as exact_amount,
    cast(null as {{ instant_type() }}) as peak_start,
    cast(null as decimal(38, 9)) as peak_quantity
from placed_charges
inner join band_days
    on
        placed_charges.contract_id = band_days.contract_id
        and placed_charges.term_no = band_days.term_no
        and placed_charges.period = band_days.period
        and placed_charges.site_id = band_days.site_id
        and placed_charges.metric = band_days.metric
        and placed_charges.calendar_id = band_days.calendar_id
where placed_charges.charge_model = 'time_of_use'
union all
-- A thousandth of the hours' sum; a day with an hour that lacks its price has none.
select
    contract_id,
    term_no,
    period,
    charge_code,
    site_id,
    cast(null as string) as band,
    usage_date,
    cast(sum(quantity) as decimal(38, 9)) as quantity,
    cast(null as decimal(38, 9)) as estimated_quantity,
    case when count(*) = count(thousandfold) then {{ exact_product('sum(thousandfold)', 22, '0.001', 3) }} end as exact_amount,
    cast(null as {{ instant_type() }}) as peak_start,
    cast(null as decimal(38, 9)) as peak_quantity
from priced_hours
group by contract_id, term_no, period, charge_code, site_id, usage_date
union all
select
    contract_id,
    term_no,
    period,
    charge_code,
    site_id,
    cast(null as string) as band,
    local_date as usage_date,
    cast(sum(quantity) as decimal(38, 9)) as quantity,
    cast(null as decimal(38, 9)) as estimated_quantity,
    cast(null as decimal(38, 25)) as exact_amount,
    max_by(window_start, (quantity, -{{ us('window_start') }})) as peak_start,
    max(quantity) as peak_quantity
from windowed
group by contract_id, term_no, period, charge_code, site_id, local_date
