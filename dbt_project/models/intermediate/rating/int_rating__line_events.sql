with charges as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        itemise,
        markup_percent,
        -- 1 + markup ÷ 100, exact at 6 decimals
        {{ exact_product('100 + coalesce(markup_percent, 0)', 4, '0.01', 2) }} as factor
    from {{ ref('int_rating__segment_charges') }}
    where charge_model = 'pass_through'

),

events as (

    select
        event_id,
        site_id,
        machine_id,
        contract_id,
        term_no,
        period,
        charge_code,
        service_code,
        classification,
        occurred_at,
        quantity,
        unit,
        unit_amount,
        currency,
        converted_unit_amount,
        ingested_at
    from {{ ref('int_rating__events') }}
    where fate = 'priced'

)

select
    events.contract_id,
    events.term_no,
    events.period,
    events.charge_code,
    events.site_id,
    case
        when coalesce(charges.itemise, true) or events.classification = 'exception' then events.event_id
        else events.service_code
    end as band,
    events.event_id,
    events.machine_id,
    events.service_code,
    events.classification,
    events.occurred_at,
    events.quantity,
    events.unit,
    events.unit_amount,
    events.currency,
    events.converted_unit_amount,
    charges.markup_percent,
    {{ exact_product('events.quantity', 6, exact_product('events.converted_unit_amount', 9, 'charges.factor', 6), 15) }}
        as exact_amount,
    events.ingested_at
from events
inner join charges
    on
        events.contract_id = charges.contract_id
        and events.term_no = charges.term_no
        and events.period = charges.period
        and events.charge_code = charges.charge_code
