{{ config(materialized='rated') }}

-- depends_on: {{ ref('int_rating__scope') }}
with rated_lines as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        charge_model,
        classification,
        site_id,
        band,
        event_id,
        quantity,
        unit,
        unit_price,
        amount,
        estimated_quantity,
        problem,
        problem_count,
        problem_detail
    from {{ ref('int_rating__lines') }}

),

segments as (

    select
        contract_id,
        term_no,
        period,
        customer_id,
        plan_id,
        plan_version
    from {{ ref('int_billing__segments') }}

),

charges as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        description
    from {{ ref('int_rating__segment_charges') }}

),

events as (

    select
        event_id,
        description
    from {{ ref('int_rating__events') }}

),

destinations as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        charge_code,
        site_name,
        region,
        payer_id,
        currency,
        minor_units,
        statement_group,
        statement_id,
        plan_currency,
        last_day,
        fx_rate,
        tax_code,
        tax_rate_percent
    from {{ ref('int_billing__destinations') }}

),

converted as (

    select
        rated_lines.contract_id,
        rated_lines.term_no,
        rated_lines.period,
        rated_lines.charge_code,
        rated_lines.charge_model,
        rated_lines.classification,
        rated_lines.site_id,
        rated_lines.band,
        rated_lines.event_id,
        rated_lines.quantity,
        rated_lines.unit,
        rated_lines.amount as plan_amount,
        {{ null_on_overflow(round_half_away(exact_product('rated_lines.unit_price', 9, 'destinations.fx_rate', 12), 9), 'decimal(38, 9)') }}
            as converted_unit_price,
        case
            when rated_lines.quantity is not null
                then {{ line_amount(exact_product('rated_lines.amount', 2, 'destinations.fx_rate', 12), 'destinations.minor_units') }}
        end as amount,
        rated_lines.estimated_quantity,
        rated_lines.problem,
        rated_lines.problem_count,
        rated_lines.problem_detail,
        destinations.site_name,
        destinations.region,
        destinations.payer_id,
        destinations.currency,
        destinations.minor_units,
        destinations.statement_group,
        destinations.statement_id as consolidated_statement_id,
        destinations.plan_currency,
        destinations.last_day,
        destinations.fx_rate,
        destinations.tax_code,
        destinations.tax_rate_percent
    from rated_lines
    inner join destinations
        on
            rated_lines.contract_id = destinations.contract_id
            and rated_lines.term_no = destinations.term_no
            and rated_lines.period = destinations.period
            and rated_lines.site_id is not distinct from destinations.site_id
            and rated_lines.charge_code is not distinct from destinations.charge_code

),

-- A metered line of 0.00 shows usage and is kept; any other is dropped, in plan or payer currency.
kept as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        charge_model,
        classification,
        site_id,
        band,
        event_id,
        quantity,
        unit,
        plan_amount,
        fx_rate,
        case when unit = 'flat' and quantity = 1 then cast(amount as decimal(38, 9)) else converted_unit_price end as unit_price,
        amount,
        estimated_quantity,
        case
            when problem is not null then problem
            when fx_rate is null then 'missing_fx_rate'
            when amount is null then 'too_large'
        end as problem,
        coalesce(problem_count, 1) as problem_count,
        case
            when problem is not null then problem_detail
            when fx_rate is null
                then 'No exchange rate of at most 7 days from ' || plan_currency || ' to ' || currency || ' on ' || last_day
            when amount is null
                then
                    'The quantity or amount of charge ' || charge_code
                    || ' is too large for a line: it holds less than 10^12 units and 10^16 ' || currency || '; price it per a larger unit'
        end as problem_detail,
        site_name,
        region,
        payer_id,
        currency,
        minor_units,
        statement_group,
        consolidated_statement_id,
        tax_code,
        tax_rate_percent
    from converted
    where
        charge_model in ('per_unit', 'graduated', 'volume', 'package', 'stairstep', 'time_of_use', 'index', 'demand')
        or (plan_amount is distinct from 0 and amount is distinct from 0)

)

select
    kept.period,
    case
        when kept.classification = 'exception' then kept.payer_id || '/' || kept.period || '/x-' || kept.event_id
        else kept.consolidated_statement_id
    end as statement_id,
    kept.statement_group,
    case kept.classification when 'exception' then 'exception' else 'consolidated' end as statement_kind,
    kept.payer_id,
    segments.customer_id,
    kept.contract_id,
    kept.term_no,
    segments.plan_id,
    segments.plan_version,
    kept.charge_code,
    kept.charge_model,
    kept.classification,
    kept.site_id,
    kept.region,
    kept.band,
    kept.event_id,
    {{ month_in_words('kept.period') }} || ' ' || coalesce(charges.description, kept.charge_code)
    || coalesce(' at ' || coalesce(kept.site_name, kept.site_id) || ' (' || kept.site_id || ')', '')
    || case
        when kept.charge_model in ('graduated', 'volume') then ', tier ' || kept.band
        when kept.charge_model = 'stairstep' then ', step ' || kept.band
        when kept.charge_model = 'time_of_use' then ', band ' || kept.band
        when kept.event_id is not null then ', event ' || kept.event_id || coalesce(' (' || events.description || ')', '')
        when kept.charge_model = 'pass_through' then ', service ' || kept.band
        else ''
    end || ': '
    || case
        when kept.unit = 'flat' then {{ money_in_words('kept.amount', 'kept.currency', 'kept.minor_units') }}
        else
            {{ number_in_words('kept.quantity') }} || ' ' || kept.unit
            || case when kept.unit in ('month', 'package') and kept.quantity != 1 then 's' else '' end
            || coalesce(' at ' || {{ money_in_words('kept.unit_price', 'kept.currency', 'kept.minor_units') }}, '')
    end as description,
    kept.quantity,
    kept.unit,
    kept.unit_price,
    kept.amount,
    kept.currency,
    kept.tax_code,
    kept.tax_rate_percent,
    {{ to_minor_unit(
        exact_product('kept.amount', 2, exact_product('kept.tax_rate_percent', 4, '0.01', 2), 6), 'kept.minor_units'
    ) }} as tax_amount,
    kept.estimated_quantity,
    kept.contract_id || '/' || kept.period || '/' || kept.term_no || '/' || kept.charge_code || '/'
    || coalesce(kept.site_id, '-') || '/' || coalesce(kept.band, '-') as line_key,
    kept.problem,
    kept.problem_count,
    kept.problem_detail,
    kept.plan_amount,
    kept.fx_rate,
    kept.minor_units
from kept
inner join segments
    on
        kept.contract_id = segments.contract_id
        and kept.term_no = segments.term_no
        and kept.period = segments.period
left join charges
    on
        kept.contract_id = charges.contract_id
        and kept.term_no = charges.term_no
        and kept.period = charges.period
        and kept.charge_code = charges.charge_code
left join events
    on kept.event_id = events.event_id
