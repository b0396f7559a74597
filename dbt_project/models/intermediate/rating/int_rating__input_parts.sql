-- depends_on: {{ ref('int_metering__days') }}
with segments as (

    select
        contract_id,
        term_no,
        period,
        segment_start,
        segment_end,
        period_start,
        period_end,
        customer_id,
        payer_id,
        plan_id,
        plan_version,
        plan_currency,
        contract_month_no
    from {{ ref('int_billing__segments') }}

),

plan_digests as (

    select
        plan_id,
        version,
        digest
    from {{ ref('int_rating__plan_digests') }}

),

charges as (

    select distinct
        plan_id,
        version,
        calendar_id,
        index_id
    from {{ source('book', 'charges') }}

),

calendars as (

    select
        calendar_id,
        country_holidays
    from {{ source('book', 'calendars') }}

),

holidays as (

    select
        country,
        date as holiday
    from {{ source('book', 'holidays') }}

),

charge_sites as (

    select
        plan_id,
        version,
        code,
        site_id
    from {{ source('book', 'charge_sites') }}

),

sites as (

    select
        site_id,
        name,
        region,
        timezone,
        tax_jurisdiction
    from {{ source('book', 'sites') }}

),

payer_routes as (

    select
        contract_id,
        site_id,
        charge_code,
        payer_id,
        priority
    from {{ source('book', 'payer_routes') }}

),

payers as (

    select
        payer_id,
        country,
        currency,
        minor_units,
        consolidation
    from {{ source('book', 'payers') }}

),

tax_rules as (

    select
        site_jurisdiction,
        payer_country,
        charge_code,
        tax_code,
        rate_percent,
        valid_from,
        valid_to
    from {{ source('book', 'tax_rules') }}

),

fx_spans as (

    select
        base,
        quote,
        valid_from,
        valid_to,
        rate
    from {{ ref('int_rating__fx_spans') }}

),

index_prices as (

    select
        index_id,
        hour_start,
        price,
        currency
    from {{ ref('int_rating__index_prices') }}

),

events as (

    select
        event_id,
        site_id,
        contract_id,
        term_no,
        period,
        charge_code,
        service_code,
        classification,
        occurred_on,
        quantity,
        unit,
        currency,
        description,
        converted_unit_amount,
        fate
    from {{ ref('int_rating__events') }}
    where period is not null

),

occupancy as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        machine_id,
        occupied_us
    from {{ ref('int_rating__occupancy') }}

),

paused as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        machine_id,
        paused_us
    from {{ ref('int_rating__paused') }}

),

places as (

    select
        contract_id,
        period,
        site_id
    from {{ ref('int_rating__places') }}

),

touched_dates as (

    select
        site_id,
        usage_date,
        run_no
    from {{ ref('int_metering__touched_dates') }}

),

-- A date may belong to the month of the day beside it on another clock.
near_dates as (

    select
        site_id,
        run_no,
        {{ each_of(['usage_date - 1', 'usage_date', 'usage_date + 1']) }} as usage_date
    from touched_dates

),

touched_months as (

    select
        site_id,
        {{ month_of('usage_date') }} as period,
        max(run_no) as run_no
    from near_dates
    group by site_id, {{ month_of('usage_date') }}

),

contract_rows as (

    select
        contract_id,
        site_id,
        meter_id,
        said,
        said_from,
        said_to
    from {{ ref('int_metering__contract_rows') }}

),

usage_batches as (

    select
        site_id,
        usage_date,
        contract_id,
        metric,
        batch_id
    from {{ ref('usage_batches') }}

),

periods as (

    select distinct
        period,
        cast(period || '-01' as date) as first_day,
        cast(last_day(cast(period || '-01' as date)) as date) as last_day
    from segments

),

holidays_of_periods as (

    select
        holidays.country,
        periods.period,
        {{ rows_digest(['holidays.holiday']) }} as digest
    from periods
    inner join holidays
        on
            periods.first_day - 1 <= holidays.holiday
            and periods.last_day + 1 >= holidays.holiday
    group by holidays.country, periods.period

),

taxes_of_periods as (

    select
        periods.period,
        {{ rows_digest([
            'tax_rules.site_jurisdiction', 'tax_rules.payer_country', 'tax_rules.charge_code', 'tax_rules.tax_code', 'tax_rules.rate_percent'
        ]) }} as digest
    from periods
    inner join tax_rules
        on
            periods.last_day >= tax_rules.valid_from
            and (tax_rules.valid_to is null or periods.last_day < tax_rules.valid_to)
    group by periods.period

),

-- What a rate is worth after the period makes no difference to it.
rates_of_periods as (

    select
        periods.period,
        {{ rows_digest([
            'fx_spans.base', 'fx_spans.quote', 'fx_spans.rate', 'greatest(fx_spans.valid_from, periods.first_day - 1)',
            'least(fx_spans.valid_to, periods.last_day + 2)'
        ]) }} as digest
    from periods
    inner join fx_spans
        on
            periods.first_day - 1 < fx_spans.valid_to
            and periods.last_day + 2 > fx_spans.valid_from
    group by periods.period

),

plans_of_segments as (

    select
        segments.contract_id,
        segments.period,
        segments.period_start,
        segments.period_end,
        segments.plan_id,
        segments.plan_version,
        charges.calendar_id,
        charges.index_id
    from segments
    inner join charges
        on
            segments.plan_id = charges.plan_id
            and segments.plan_version = charges.version

),

index_spans as (

    select distinct
        index_id,
        period,
        period_start,
        period_end
    from plans_of_segments
    where index_id is not null

),

-- An index hour may begin before the period.
prices_of_spans as (

    select
        index_spans.index_id,
        index_spans.period_start,
        index_spans.period_end,
        {{ rows_digest(['index_prices.hour_start', 'index_prices.price', 'index_prices.currency']) }} as digest
    from index_spans
    inner join index_prices
        on
            index_spans.index_id = index_prices.index_id
            and index_spans.period_start - interval 1 hour < index_prices.hour_start
            and index_spans.period_end > index_prices.hour_start
    group by index_spans.index_id, index_spans.period_start, index_spans.period_end

),

payers_of_contracts as (

    select
        contract_id,
        payer_id
    from segments
    union
    select
        contract_id,
        payer_id
    from payer_routes

),

payer_digests as (

    select
        payers_of_contracts.contract_id,
        {{ rows_digest(['payers.payer_id', 'payers.country', 'payers.currency', 'payers.minor_units', 'payers.consolidation']) }} as digest
    from payers_of_contracts
    inner join payers
        on payers_of_contracts.payer_id = payers.payer_id
    group by payers_of_contracts.contract_id

),

route_digests as (

    select
        contract_id,
        {{ rows_digest(['site_id', 'charge_code', 'payer_id', 'priority']) }} as digest
    from payer_routes
    group by contract_id

),

spans_of_periods as (

    select distinct
        contract_id,
        period,
        period_start,
        period_end
    from segments

),

batches_of_dates as (

    select
        contract_id,
        usage_date,
        {{ rows_digest(['site_id', 'metric', 'batch_id']) }} as digest
    from usage_batches
    group by contract_id, usage_date

),

rateable as (

    select distinct
        contract_id,
        period
    from segments

),

parts as (

    select
        segments.contract_id,
        segments.period,
        'terms' as part,
        'book' as kind,
        {{ rows_digest([
            'segments.term_no', 'segments.segment_start', 'segments.segment_end', 'segments.period_start', 'segments.period_end',
            'segments.customer_id', 'segments.payer_id', 'segments.plan_id', 'segments.plan_version', 'segments.plan_currency',
            'segments.contract_month_no', 'plan_digests.digest'
        ]) }} as digest
    from segments
    left join plan_digests
        on
            segments.plan_id = plan_digests.plan_id
            and segments.plan_version = plan_digests.version
    group by segments.contract_id, segments.period
    union all
    select
        plans_of_segments.contract_id,
        plans_of_segments.period,
        'holidays' as part,
        'book' as kind,
        {{ rows_digest(['plans_of_segments.calendar_id', 'holidays_of_periods.digest']) }} as digest
    from plans_of_segments
    inner join calendars
        on plans_of_segments.calendar_id = calendars.calendar_id
    inner join holidays_of_periods
        on
            calendars.country_holidays = holidays_of_periods.country
            and plans_of_segments.period = holidays_of_periods.period
    group by plans_of_segments.contract_id, plans_of_segments.period
    union all
    select
        plans_of_segments.contract_id,
        plans_of_segments.period,
        'prices' as part,
        'readings' as kind,
        {{ rows_digest(['plans_of_segments.index_id', 'prices_of_spans.digest']) }} as digest
    from plans_of_segments
    inner join prices_of_spans
        on
            plans_of_segments.index_id = prices_of_spans.index_id
            and plans_of_segments.period_start = prices_of_spans.period_start
            and plans_of_segments.period_end = prices_of_spans.period_end
    group by plans_of_segments.contract_id, plans_of_segments.period
    union all
    select
        places.contract_id,
        places.period,
        'sites' as part,
        'book' as kind,
        {{ rows_digest(['sites.site_id', 'sites.name', 'sites.region', 'sites.timezone', 'sites.tax_jurisdiction']) }} as digest
    from places
    left join sites
        on places.site_id = sites.site_id
    group by places.contract_id, places.period
    union all
    select
        places.contract_id,
        places.period,
        'limits' as part,
        'book' as kind,
        {{ rows_digest(['segments.term_no', 'charge_sites.code', 'charge_sites.site_id']) }} as digest
    from places
    inner join segments
        on
            places.contract_id = segments.contract_id
            and places.period = segments.period
    inner join charge_sites
        on
            segments.plan_id = charge_sites.plan_id
            and segments.plan_version = charge_sites.version
            and places.site_id = charge_sites.site_id
    group by places.contract_id, places.period
    union all
    select
        contract_id,
        period,
        'machines' as part,
        'book' as kind,
        {{ rows_digest(['term_no', 'site_id', 'machine_id', 'occupied_us']) }} as digest
    from occupancy
    group by contract_id, period
    union all
    select
        contract_id,
        period,
        'pauses' as part,
        'book' as kind,
        {{ rows_digest(['term_no', 'site_id', 'machine_id', 'paused_us']) }} as digest
    from paused
    group by contract_id, period
    union all
    select
        contract_id,
        period,
        'events' as part,
        'readings' as kind,
        {{ rows_digest([
            'event_id', 'site_id', 'term_no', 'charge_code', 'service_code', 'classification', 'occurred_on', 'quantity', 'unit', 'currency', 'description',
            'converted_unit_amount', 'fate'
        ]) }} as digest
    from events
    group by contract_id, period
    union all
    select
        rateable.contract_id,
        rateable.period,
        'payers' as part,
        'book' as kind,
        payer_digests.digest
    from rateable
    inner join payer_digests
        on rateable.contract_id = payer_digests.contract_id
    union all
    select
        rateable.contract_id,
        rateable.period,
        'routes' as part,
        'book' as kind,
        route_digests.digest
    from rateable
    inner join route_digests
        on rateable.contract_id = route_digests.contract_id
    union all
    select
        rateable.contract_id,
        rateable.period,
        'taxes' as part,
        'book' as kind,
        taxes_of_periods.digest
    from rateable
    inner join taxes_of_periods
        on rateable.period = taxes_of_periods.period
    union all
    select
        rateable.contract_id,
        rateable.period,
        'rates' as part,
        'book' as kind,
        rates_of_periods.digest
    from rateable
    inner join rates_of_periods
        on rateable.period = rates_of_periods.period
    union all
    select
        places.contract_id,
        places.period,
        'usage' as part,
        'run' as kind,
        cast(max(touched_months.run_no) as {{ whole_type() }}) as digest
    from places
    inner join touched_months
        on
            places.site_id = touched_months.site_id
            and places.period = touched_months.period
    group by places.contract_id, places.period

    union all
    select
        spans_of_periods.contract_id,
        spans_of_periods.period,
        'metering' as part,
        'book' as kind,
        {{ rows_digest(['contract_rows.site_id', 'contract_rows.meter_id', 'contract_rows.said']) }} as digest
    from spans_of_periods
    inner join contract_rows
        on
            spans_of_periods.contract_id = contract_rows.contract_id
            and spans_of_periods.period_end > contract_rows.said_from
            and spans_of_periods.period_start < contract_rows.said_to
    group by spans_of_periods.contract_id, spans_of_periods.period
    union all
    -- Estimates look back four weeks.
    select
        batches_of_dates.contract_id,
        periods.period,
        'batches' as part,
        'readings' as kind,
        sum(batches_of_dates.digest) as digest
    from batches_of_dates
    inner join periods
        on
            batches_of_dates.usage_date >= periods.first_day - 29
            and batches_of_dates.usage_date <= periods.last_day + 1
    group by batches_of_dates.contract_id, periods.period

)

select
    contract_id,
    period,
    part,
    kind,
    digest
from parts
