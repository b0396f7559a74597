with due as (

    select
        contract_id,
        period
    from {{ ref('int_rating__scope') }}
    where is_due

),

charges as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        charge_model,
        itemise,
        plan_currency,
        plan_minor_units,
        -- 1 + markup ÷ 100, exact at 6 decimals
        {{ exact_product('100 + coalesce(markup_percent, 0)', 4, '0.01', 2) }} as factor
    from {{ ref('int_rating__segment_charges') }}
    where charge_model = 'pass_through'

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
        converted_unit_amount,
        fate
    from {{ ref('int_rating__events') }}
    where fate in ('priced', 'unpriced')

),

priced as (

    select
        events.contract_id,
        events.term_no,
        events.period,
        charges.charge_code,
        charges.charge_model,
        charges.plan_currency,
        charges.plan_minor_units,
        events.classification,
        events.site_id,
        events.event_id,
        events.service_code,
        events.occurred_on,
        events.currency,
        events.quantity,
        events.unit,
        {{ exact_product('events.converted_unit_amount', 9, 'charges.factor', 6) }} as unit_price,
        {{ null_on_overflow(
            exact_product('events.quantity', 6, exact_product('events.converted_unit_amount', 9, 'charges.factor', 6), 15),
            'decimal(38, 21)'
        ) }} as exact_amount,
        events.converted_unit_amount is null as lacks_rate,
        coalesce(charges.itemise, true) or events.classification = 'exception' as is_itemised
    from events
    inner join charges
        on
            events.contract_id = charges.contract_id
            and events.term_no = charges.term_no
            and events.period = charges.period
            and events.charge_code = charges.charge_code
    where events.fate = 'priced'

),

added_up as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        charge_model,
        plan_currency,
        plan_minor_units,
        site_id,
        service_code,
        case when bool_and(classification = 'recurring') then 'recurring' else 'variable' end as classification,
        case when count(*) = count(exact_amount) then sum(exact_amount) end as exact_amount,
        count(*) filter (where lacks_rate) as events_without_rate,
        min(occurred_on) filter (where lacks_rate) as first_without_rate,
        min(currency) filter (where lacks_rate) as currency_without_rate
    from priced
    where not is_itemised
    group by contract_id, term_no, period, charge_code, charge_model, plan_currency, plan_minor_units, site_id, service_code

)

select
    contract_id,
    term_no,
    period,
    charge_code,
    charge_model,
    classification,
    site_id,
    event_id as band,
    event_id,
    {{ line_quantity('quantity') }} as quantity,
    unit,
    {{ round_half_away('unit_price', 9) }} as unit_price,
    {{ line_amount('exact_amount', 'plan_minor_units') }} as amount,
    cast(0 as decimal(18, 6)) as estimated_quantity,
    case when lacks_rate then 'missing_fx_rate' end as problem,
    case when lacks_rate then cast(1 as bigint) end as problem_count,
    case
        when lacks_rate
            then 'No exchange rate of at most 7 days from ' || currency || ' to ' || plan_currency || ' on ' || occurred_on
    end as problem_detail
from priced
where is_itemised
union all
select
    contract_id,
    term_no,
    period,
    charge_code,
    charge_model,
    classification,
    site_id,
    service_code as band,
    cast(null as string) as event_id,
    cast(1 as decimal(18, 6)) as quantity,
    'flat' as unit,
    case
        when events_without_rate = 0 then cast({{ line_amount('exact_amount', 'plan_minor_units') }} as decimal(38, 9))
    end as unit_price,
    case when events_without_rate = 0 then {{ line_amount('exact_amount', 'plan_minor_units') }} end as amount,
    cast(0 as decimal(18, 6)) as estimated_quantity,
    case when events_without_rate > 0 then 'missing_fx_rate' end as problem,
    case when events_without_rate > 0 then events_without_rate end as problem_count,
    case
        when events_without_rate > 0
            then
                'No exchange rate of at most 7 days from ' || currency_without_rate || ' to ' || plan_currency || ' on '
                || first_without_rate || ' for ' || events_without_rate || ' events'
    end as problem_detail
from added_up
union all
select
    events.contract_id,
    events.term_no,
    events.period,
    cast(null as string) as charge_code,
    'pass_through' as charge_model,
    'variable' as classification,
    events.site_id,
    events.event_id as band,
    events.event_id,
    {{ line_quantity('events.quantity') }} as quantity,
    events.unit,
    cast(null as decimal(38, 9)) as unit_price,
    cast(null as decimal(18, 2)) as amount,
    cast(0 as decimal(18, 6)) as estimated_quantity,
    'unpriced_event' as problem,
    cast(1 as bigint) as problem_count,
    'The plan has no price for service ' || events.service_code || ' of event ' || events.event_id || ' on '
    || events.occurred_on as problem_detail
from events
inner join due
    on
        events.contract_id = due.contract_id
        and events.period = due.period
where events.fate = 'unpriced'
