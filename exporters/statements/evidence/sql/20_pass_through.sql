-- pass_through: charge events at their own price × (1 + markup ÷ 100). The newest fetch of an event counts. A price in another
-- currency is first converted, rounded to 9 decimals. An event belongs to its contract, or to that of its machine at that time.
-- A disputed event is billed nowhere, unless the dispute was rejected.
create or replace table events as
with newest as (
    select
        landed.* replace (
            case
                when disputes.state in ('open', 'upheld') then 'disputed'
                when disputes.state = 'rejected' and landed.classification = 'disputed' then 'variable'
                else landed.classification
            end as classification
        )
    from 'data/landed_events.parquet' as landed
    left join 'data/disputes.parquet' as disputes on disputes.scope = 'event' and disputes.subject = landed.event_id
    qualify row_number() over (partition by landed.event_id order by landed.ingested_at desc, landed.batch_id desc) = 1
)

select
    newest.event_id,
    newest.site_id,
    segments.contract_id,
    segments.term_no,
    segments.period,
    newest.classification,
    newest.service_code,
    newest.quantity,
    newest.unit,
    charges.code,
    coalesce(charges.itemise, true) or newest.classification = 'exception' as is_itemised,
    charges.plan_minor_units,
    case
        when newest.currency = charges.plan_currency then cast(newest.unit_amount as decimal(38, 9))
        else cast(round(cast(newest.unit_amount as decimal(38, 6)) * exchange_rates.rate, 9) as decimal(38, 9))
    end as converted,
    -- 15 decimals
    converted * cast((100 + coalesce(charges.markup_percent, 0)) * 0.01 as decimal(38, 6)) as unit_price,
    cast(newest.quantity as decimal(38, 6)) * unit_price as exact_amount
from newest
left join 'data/assignments.parquet' as assignments
    on
        newest.contract_id is null
        and newest.machine_id = assignments.machine_id
        and newest.occurred_at >= assignments.valid_from_at
        and (assignments.valid_to_at is null or newest.occurred_at < assignments.valid_to_at)
inner join segments
    on
        coalesce(newest.contract_id, assignments.contract_id) = segments.contract_id
        and newest.occurred_at >= segments.segment_start
        and newest.occurred_at < segments.segment_end
inner join 'data/charge_service_codes.parquet' as services
    on
        segments.plan_id = services.plan_id
        and segments.plan_version = services.version
        and newest.service_code = services.service_code
inner join priced_charges as charges
    on
        segments.contract_id = charges.contract_id
        and segments.term_no = charges.term_no
        and segments.period = charges.period
        and services.code = charges.code
left join exchange_rates
    on
        newest.currency = exchange_rates.base
        and charges.plan_currency = exchange_rates.quote
        and cast(newest.occurred_at as date) >= exchange_rates.first_day
        and cast(newest.occurred_at as date) < exchange_rates.day_after
where newest.classification != 'disputed';

insert into lines by name
select
    contract_id,
    term_no,
    period,
    code,
    'pass_through' as model,
    classification,
    site_id,
    event_id as band,
    event_id,
    quantity,
    unit,
    round(unit_price, 9) as unit_price,
    case plan_minor_units
        when 0 then cast(round(exact_amount, 0) as decimal(18, 2))
        else cast(round(exact_amount, 2) as decimal(18, 2))
    end as plan_amount,
    0 as estimated_quantity
from events
where is_itemised and exact_amount is not null;

-- Charges that do not itemise: a line per site and service, what its events come to.
insert into lines by name
with added_up as (
    select
        contract_id,
        term_no,
        period,
        code,
        site_id,
        service_code,
        plan_minor_units,
        bool_and(classification = 'recurring') as is_recurring,
        sum(exact_amount) as exact_amount
    from events
    where not is_itemised
    group by contract_id, term_no, period, code, site_id, service_code, plan_minor_units
    having count(*) = count(exact_amount)
)

select
    contract_id,
    term_no,
    period,
    code,
    'pass_through' as model,
    case when is_recurring then 'recurring' else 'variable' end as classification,
    site_id,
    service_code as band,
    1 as quantity,
    'flat' as unit,
    case plan_minor_units
        when 0 then cast(round(exact_amount, 0) as decimal(18, 2))
        else cast(round(exact_amount, 2) as decimal(18, 2))
    end as plan_amount,
    plan_amount as unit_price,
    0 as estimated_quantity
from added_up;

select contract_id, period, code, site_id, band, quantity, unit, unit_price, plan_amount
from lines
where model = 'pass_through'
order by all;
