-- depends_on: {{ ref('int_metering__days') }}
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
        unit,
        calendar_id,
        plan_minor_units
    from {{ ref('int_rating__segment_charges') }}
    where charge_model = 'time_of_use'

),

charge_sites as (

    select
        plan_id,
        version,
        code,
        site_id
    from {{ source('book', 'charge_sites') }}

),

charge_rates as (

    select
        plan_id,
        version,
        code,
        band,
        rate
    from {{ source('book', 'charge_rates') }}

),

sites as (

    select
        site_id,
        timezone
    from {{ source('book', 'sites') }}

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

usage_quarters as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        quarter_no,
        quantity
    from {{ ref('int_metering__usage_quarters') }}

),

calendar_slots as (

    select
        calendar_id,
        timezone,
        slot_no,
        band,
        run_no
    from {{ ref('int_rating__calendar_slots') }}

),

units as (

    select
        unit,
        numerator,
        denominator
    from {{ ref('int_rating__units') }}

),

-- Runs of slots of one band: a piece needs cutting only where it crosses from one run into the next.
runs as (

    select
        calendar_id,
        timezone,
        run_no,
        min(band) as band,
        min(slot_no) * 900000000 as run_start_us,
        (max(slot_no) + 1) * 900000000 as run_end_us
    from calendar_slots
    group by calendar_id, timezone, run_no

),

timed_places as (

    select distinct
        charges.contract_id,
        charges.term_no,
        charges.period,
        charges.metric,
        charges.calendar_id,
        sites.site_id,
        sites.timezone
    from charges
    inner join charge_sites
        on
            charges.plan_id = charge_sites.plan_id
            and charges.plan_version = charge_sites.version
            and charges.charge_code = charge_sites.code
    inner join sites
        on charge_sites.site_id = sites.site_id

),

spread as (

    select
        pieces.contract_id,
        pieces.term_no,
        pieces.period,
        pieces.site_id,
        pieces.metric,
        timed_places.calendar_id,
        timed_places.timezone,
        pieces.interval_start_us,
        pieces.interval_us,
        pieces.interval_quantity,
        pieces.piece_start_us,
        pieces.piece_end_us,
        pieces.quantity,
        pieces.is_estimated,
        first_slots.run_no as first_run_no,
        last_slots.run_no as last_run_no
    from pieces
    inner join timed_places
        on
            pieces.contract_id = timed_places.contract_id
            and pieces.term_no = timed_places.term_no
            and pieces.period = timed_places.period
            and pieces.metric = timed_places.metric
            and pieces.site_id = timed_places.site_id
    inner join calendar_slots as first_slots
        on
            timed_places.calendar_id = first_slots.calendar_id
            and timed_places.timezone = first_slots.timezone
            and pieces.piece_start_us // 900000000 = first_slots.slot_no
    inner join calendar_slots as last_slots
        on
            timed_places.calendar_id = last_slots.calendar_id
            and timed_places.timezone = last_slots.timezone
            and (pieces.piece_end_us - 1) // 900000000 = last_slots.slot_no

),

crossings as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        calendar_id,
        timezone,
        interval_start_us,
        interval_us,
        interval_quantity,
        piece_start_us,
        piece_end_us,
        is_estimated,
        unnest(range(first_run_no, last_run_no + 1)) as run_no
    from spread
    where first_run_no < last_run_no

),

cuts as (

    select
        crossings.contract_id,
        crossings.term_no,
        crossings.period,
        crossings.site_id,
        crossings.metric,
        crossings.calendar_id,
        runs.band,
        crossings.interval_start_us,
        crossings.interval_us,
        crossings.interval_quantity,
        greatest(crossings.piece_start_us, runs.run_start_us) as cut_start_us,
        least(crossings.piece_end_us, runs.run_end_us) as cut_end_us,
        crossings.is_estimated
    from crossings
    inner join runs
        on
            crossings.calendar_id = runs.calendar_id
            and crossings.timezone = runs.timezone
            and crossings.run_no = runs.run_no

),

banded_pieces as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        calendar_id,
        band,
        {{ prorate('interval_quantity', 'cut_end_us - interval_start_us', 'interval_us') }}
        - {{ prorate('interval_quantity', 'cut_start_us - interval_start_us', 'interval_us') }} as quantity,
        is_estimated
    from cuts
    union all
    select
        spread.contract_id,
        spread.term_no,
        spread.period,
        spread.site_id,
        spread.metric,
        spread.calendar_id,
        runs.band,
        spread.quantity,
        spread.is_estimated
    from spread
    inner join runs
        on
            spread.calendar_id = runs.calendar_id
            and spread.timezone = runs.timezone
            and spread.first_run_no = runs.run_no
    where spread.first_run_no = spread.last_run_no
    union all
    select
        usage_quarters.contract_id,
        usage_quarters.term_no,
        usage_quarters.period,
        usage_quarters.site_id,
        usage_quarters.metric,
        timed_places.calendar_id,
        calendar_slots.band,
        usage_quarters.quantity,
        false as is_estimated
    from usage_quarters
    inner join timed_places
        on
            usage_quarters.contract_id = timed_places.contract_id
            and usage_quarters.term_no = timed_places.term_no
            and usage_quarters.period = timed_places.period
            and usage_quarters.site_id = timed_places.site_id
            and usage_quarters.metric = timed_places.metric
    inner join calendar_slots
        on
            timed_places.calendar_id = calendar_slots.calendar_id
            and timed_places.timezone = calendar_slots.timezone
            and usage_quarters.quarter_no = calendar_slots.slot_no

),

band_usage as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        calendar_id,
        band,
        cast(sum(quantity) as decimal(38, 9)) as quantity,
        cast(sum(case when is_estimated then quantity else 0 end) as decimal(38, 9)) as estimated_quantity
    from banded_pieces
    group by contract_id, term_no, period, site_id, metric, calendar_id, band

),

converted as (

    select
        charges.contract_id,
        charges.term_no,
        charges.period,
        charges.charge_code,
        charges.charge_model,
        charges.unit,
        charges.plan_minor_units,
        band_usage.site_id,
        band_usage.band,
        charge_rates.rate,
        {{ divide_round(exact_product('band_usage.quantity', 9, 'units.numerator', 0), 9, 'units.denominator', 0, 12) }} as usage,
        {{ divide_round(exact_product('band_usage.estimated_quantity', 9, 'units.numerator', 0), 9, 'units.denominator', 0, 12) }}
            as estimated_usage
    from charges
    inner join charge_sites
        on
            charges.plan_id = charge_sites.plan_id
            and charges.plan_version = charge_sites.version
            and charges.charge_code = charge_sites.code
    inner join band_usage
        on
            charges.contract_id = band_usage.contract_id
            and charges.term_no = band_usage.term_no
            and charges.period = band_usage.period
            and charges.metric = band_usage.metric
            and charges.calendar_id = band_usage.calendar_id
            and charge_sites.site_id = band_usage.site_id
    inner join charge_rates
        on
            charges.plan_id = charge_rates.plan_id
            and charges.plan_version = charge_rates.version
            and charges.charge_code = charge_rates.code
            and band_usage.band = charge_rates.band
    inner join units
        on charges.unit = units.unit

)

select
    contract_id,
    term_no,
    period,
    charge_code,
    charge_model,
    'variable' as classification,
    site_id,
    band,
    cast(null as varchar) as event_id,
    {{ line_quantity('usage') }} as quantity,
    unit,
    cast(rate as decimal(38, 9)) as unit_price,
    {{ line_amount(exact_product('usage', 12, 'rate', 9), 'plan_minor_units') }} as amount,
    {{ line_quantity('estimated_usage') }} as estimated_quantity,
    cast(null as varchar) as problem,
    cast(null as bigint) as problem_count,
    cast(null as varchar) as problem_detail
from converted
where usage > 0
