-- Of what this run rated, what explains a line adds up to it: days to the usage at the site, what it is computed from to its amount.
with runs as (

    select max(run_no) as run_no
    from {{ ref('int_metering__runs_done') }}

),

rated_now as (

    select
        scope.contract_id,
        scope.period
    from {{ ref('int_rating__scope') }} as scope
    inner join runs
        on scope.run_no = runs.run_no

),

calculations as (

    select
        line_key,
        period,
        contract_id,
        term_no,
        charge_code,
        charge_model,
        site_id,
        quantity,
        plan_amount,
        plan_minor_units,
        window_minutes,
        site_quantity,
        usage,
        exact_amount,
        peak_quantity
    from {{ ref('line_calculations') }}

),

days as (

    select
        period,
        contract_id,
        term_no,
        charge_code,
        site_id,
        sum(quantity) as quantity
    from {{ ref('line_days') }}
    group by period, contract_id, term_no, charge_code, site_id

)

select
    calculations.line_key,
    calculations.quantity,
    calculations.plan_amount,
    calculations.site_quantity,
    days.quantity as days_quantity,
    calculations.usage
from calculations
inner join rated_now
    on
        calculations.contract_id = rated_now.contract_id
        and calculations.period = rated_now.period
inner join days
    on
        calculations.period = days.period
        and calculations.contract_id = days.contract_id
        and calculations.term_no = days.term_no
        and calculations.charge_code = days.charge_code
        and calculations.site_id = days.site_id
where
    calculations.site_quantity is distinct from days.quantity
    or (
        calculations.charge_model in ('per_unit', 'volume', 'time_of_use', 'index')
        and calculations.quantity is distinct from {{ round_half_away('calculations.usage', 6) }}
    )
    or (
        calculations.charge_model = 'index'
        and calculations.exact_amount is not null
        and calculations.plan_amount is distinct from {{ to_minor_unit('calculations.exact_amount', 'calculations.plan_minor_units') }}
    )
    or (
        calculations.charge_model = 'demand'
        and calculations.quantity
        is distinct from {{ round_half_away('calculations.peak_quantity * ' ~ int_div(60, 'calculations.window_minutes'), 6) }}
    )
