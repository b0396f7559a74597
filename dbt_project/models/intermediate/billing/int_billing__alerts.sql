-- depends_on: {{ ref('int_metering__days') }}
with alerts as (

    select
        contract_id,
        measure,
        threshold
    from {{ source('book', 'alerts') }}

),

segments as (

    select
        contract_id,
        term_no,
        period,
        segment_start,
        segment_end,
        segment_us,
        period_start,
        period_end,
        customer_id,
        billing_timezone,
        plan_currency,
        plan_minor_units
    from {{ ref('int_billing__segments') }}

),

periods as (

    select
        billing_timezone,
        period,
        is_over
    from {{ ref('int_billing__periods') }}

),

landed as (

    select newest_landed_at
    from {{ ref('int_metering__range') }}

),

month_usage as (

    select
        contract_id,
        term_no,
        period,
        quantity
    from {{ ref('int_metering__month_usage') }}
    where metric = 'energy'

),

lines as (

    select
        line_key,
        contract_id,
        term_no,
        period,
        plan_amount
    from {{ ref('int_billing__charge_lines') }}
    where plan_amount is not null

),

projections as (

    select
        line_key,
        projected_plan_amount
    from {{ ref('int_billing__projections') }}

),

issued_lines as (

    select distinct
        contract_id,
        period
    from {{ source('ledger', 'issued_lines') }}
    where adjusts_period is null

),

last_over as (

    select
        billing_timezone,
        max(period) as period
    from periods
    where is_over
    group by billing_timezone

),

-- The month under way and the one before it, as long as nothing of the contract's is issued for it.
watched as (

    select
        segments.contract_id,
        segments.term_no,
        segments.period,
        segments.period_start,
        segments.period_end,
        segments.customer_id,
        segments.plan_currency,
        segments.plan_minor_units,
        periods.is_over,
        least(segments.period_end, landed.newest_landed_at) as measured_until,
        cast(segments.segment_us as {{ whole_type() }}) as segment_us,
        cast(
            case
                when segments.segment_start < landed.newest_landed_at and landed.newest_landed_at < segments.segment_end
                    then {{ us('landed.newest_landed_at') }} - {{ us('segments.segment_start') }}
                else segments.segment_us
            end as {{ whole_type() }}
        ) as measured_us
    from segments
    inner join periods
        on
            segments.billing_timezone = periods.billing_timezone
            and segments.period = periods.period
    inner join landed
        on segments.period_start < landed.newest_landed_at
    left join last_over
        on segments.billing_timezone = last_over.billing_timezone
    left join issued_lines
        on
            segments.contract_id = issued_lines.contract_id
            and segments.period = issued_lines.period
    where
        (not periods.is_over or segments.period = last_over.period)
        and issued_lines.contract_id is null

),

used as (

    select
        watched.contract_id,
        watched.period,
        sum(month_usage.quantity) as value,
        sum({{ unscaled_decimal(
            divide_nearest('(' ~ scaled_integer('month_usage.quantity', 9) ~ ' * watched.segment_us)', 'watched.measured_us'), 9
        ) }}) as projected_value
    from watched
    inner join month_usage
        on
            watched.contract_id = month_usage.contract_id
            and watched.term_no = month_usage.term_no
            and watched.period = month_usage.period
    group by watched.contract_id, watched.period

),

-- Amounts of plans in different currencies are not added up: where a month has two, the greater sum counts.
cost_by_currency as (

    select
        watched.contract_id,
        watched.period,
        watched.plan_currency,
        watched.plan_minor_units,
        sum(lines.plan_amount) as value,
        sum(coalesce(projections.projected_plan_amount, lines.plan_amount)) as projected_value
    from watched
    inner join lines
        on
            watched.contract_id = lines.contract_id
            and watched.term_no = lines.term_no
            and watched.period = lines.period
    left join projections
        on lines.line_key = projections.line_key
    group by watched.contract_id, watched.period, watched.plan_currency, watched.plan_minor_units

),

cost as (

    select
        contract_id,
        period,
        plan_currency,
        plan_minor_units,
        value,
        projected_value
    from cost_by_currency
    qualify row_number() over (partition by contract_id, period order by value desc, plan_currency asc) = 1

),

contract_months as (

    select
        contract_id,
        period,
        customer_id,
        is_over,
        period_start,
        measured_until,
        max_by(plan_currency, term_no) as plan_currency,
        max_by(plan_minor_units, term_no) as plan_minor_units
    from watched
    group by contract_id, period, customer_id, is_over, period_start, measured_until

),

measured as (

    select
        contract_months.period,
        contract_months.contract_id,
        contract_months.customer_id,
        alerts.measure,
        alerts.threshold,
        case alerts.measure when 'energy_kwh' then 'kWh' else coalesce(cost.plan_currency, contract_months.plan_currency) end as unit,
        coalesce(cost.plan_minor_units, contract_months.plan_minor_units) as minor_units,
        cast(coalesce(case alerts.measure when 'energy_kwh' then used.value else cost.value end, 0) as decimal(38, 9)) as value,
        cast(coalesce(case alerts.measure when 'energy_kwh' then used.projected_value else cost.projected_value end, 0) as decimal(38, 9))
            as projected_value,
        contract_months.measured_until,
        contract_months.period_start,
        contract_months.is_over
    from contract_months
    inner join alerts
        on contract_months.contract_id = alerts.contract_id
    left join used
        on
            contract_months.contract_id = used.contract_id
            and contract_months.period = used.period
    left join cost
        on
            contract_months.contract_id = cost.contract_id
            and contract_months.period = cost.period

)

select
    period,
    contract_id,
    customer_id,
    measure,
    threshold,
    unit,
    value,
    projected_value,
    measured_until,
    period_start,
    is_over,
    value >= threshold as is_reached,
    contract_id || '/' || period || '/' || measure || '/' || regexp_replace(cast(threshold as string), {{ pattern('\\.?0+$') }}, '') as alert_key,
    case measure
        when 'energy_kwh' then {{ number_in_words('threshold') }} || ' kWh'
        else {{ money_in_words('threshold', 'unit', 'minor_units') }}
    end as threshold_in_words,
    'Contract ' || contract_id || case measure
        when 'energy_kwh' then ' has used ' || {{ number_in_words(round_half_away('value', 3)) }} || ' kWh'
        else ' has cost ' || {{ money_in_words('value', 'unit', 'minor_units') }} || ' before tax'
    end
    || ' in ' || {{ month_in_words('period') }}
    || case when is_over then ', which is over' else ', measured up to ' || {{ instant_in_words('measured_until') }} end
    || '; its alert is set at ' || case measure
        when 'energy_kwh' then {{ number_in_words('threshold') }} || ' kWh'
        else {{ money_in_words('threshold', 'unit', 'minor_units') }}
    end
    || case
        when is_over then ''
        else
            '. At this rate the month ends at about ' || case measure
                when 'energy_kwh' then {{ number_in_words(round_half_away('projected_value', 3)) }} || ' kWh'
                else {{ money_in_words('projected_value', 'unit', 'minor_units') }}
            end
    end
    || '.' as detail
from measured
