with landed as (

    select
        event_id,
        site_id,
        machine_id,
        contract_id,
        service_code,
        classification,
        occurred_at,
        quantity,
        unit,
        unit_amount,
        currency,
        description,
        batch_id,
        ingested_at
    from {{ ref('stg_landing__charge_events') }}

),

decisions as (

    select
        subject as event_id,
        state
    from {{ source('ledger', 'charge_disputes') }}
    where scope = 'event'

),

assignments as (

    select
        machine_id,
        contract_id,
        valid_from_at,
        valid_to_at
    from {{ source('book', 'assignments') }}

),

contract_terms as (

    select
        contract_id,
        term_no,
        valid_from_at,
        valid_to_at
    from {{ source('book', 'contract_terms') }}

),

segments as (

    select
        contract_id,
        term_no,
        period,
        segment_start,
        segment_end,
        plan_id,
        plan_version,
        plan_currency,
        plan_minor_units
    from {{ ref('int_billing__segments') }}

),

charge_service_codes as (

    select
        plan_id,
        version,
        code,
        service_code
    from {{ source('book', 'charge_service_codes') }}

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

-- The latest batch of an event wins.
latest as (

    select
        event_id,
        site_id,
        machine_id,
        contract_id,
        service_code,
        classification,
        occurred_at,
        {{ utc_date('occurred_at') }} as occurred_on,
        quantity,
        unit,
        unit_amount,
        currency,
        description,
        ingested_at
    from landed
    qualify row_number() over (
        partition by event_id
        order by ingested_at desc, batch_id desc
    ) = 1

),

-- A dispute that a site told of and a person rejected leaves an event like any other.
events as (

    select
        latest.event_id,
        latest.site_id,
        latest.machine_id,
        latest.contract_id,
        latest.service_code,
        case
            when decisions.state = 'rejected' and latest.classification = 'disputed' then 'variable'
            when decisions.state in ('open', 'upheld') then 'disputed'
            else latest.classification
        end as classification,
        coalesce(decisions.state = 'upheld', false) as is_waived,
        latest.occurred_at,
        latest.occurred_on,
        latest.quantity,
        latest.unit,
        latest.unit_amount,
        latest.currency,
        latest.description,
        latest.ingested_at
    from latest
    left join decisions
        on latest.event_id = decisions.event_id

),

-- The contract is the event's own, else that of its machine's assignment.
named as (

    select
        events.event_id,
        coalesce(events.contract_id, assignments.contract_id) as contract_id
    from events
    left join assignments
        on
            events.contract_id is null
            and events.machine_id = assignments.machine_id
            and events.occurred_at >= assignments.valid_from_at
            and (assignments.valid_to_at is null or events.occurred_at < assignments.valid_to_at)

),

placed as (

    select
        events.event_id,
        events.site_id,
        events.machine_id,
        contract_terms.contract_id,
        contract_terms.term_no,
        segments.period,
        segments.plan_id,
        segments.plan_version,
        segments.plan_currency,
        segments.plan_minor_units,
        events.service_code,
        events.classification,
        events.is_waived,
        events.occurred_at,
        events.occurred_on,
        events.quantity,
        events.unit,
        events.unit_amount,
        events.currency,
        events.description,
        events.ingested_at
    from events
    inner join named
        on events.event_id = named.event_id
    left join contract_terms
        on
            named.contract_id = contract_terms.contract_id
            and events.occurred_at >= contract_terms.valid_from_at
            and (contract_terms.valid_to_at is null or events.occurred_at < contract_terms.valid_to_at)
    left join segments
        on
            contract_terms.contract_id = segments.contract_id
            and contract_terms.term_no = segments.term_no
            and events.occurred_at >= segments.segment_start
            and events.occurred_at < segments.segment_end

)

select
    placed.event_id,
    placed.site_id,
    placed.machine_id,
    placed.contract_id,
    placed.term_no,
    placed.period,
    placed.plan_id,
    placed.plan_version,
    placed.plan_currency,
    placed.plan_minor_units,
    placed.service_code,
    placed.classification,
    placed.occurred_at,
    placed.occurred_on,
    placed.quantity,
    placed.unit,
    placed.unit_amount,
    placed.currency,
    placed.description,
    placed.ingested_at,
    charge_service_codes.code as charge_code,
    case
        when placed.currency = placed.plan_currency then cast(placed.unit_amount as decimal(38, 9))
        else {{ round_half_away(exact_product('placed.unit_amount', 6, 'fx_spans.rate', 12), 9) }}
    end as converted_unit_amount,
    case
        when placed.is_waived then 'waived'
        when placed.classification = 'disputed' then 'disputed'
        when placed.contract_id is null then 'unassigned'
        when placed.period is null then 'not_rated'
        when charge_service_codes.code is null then 'unpriced'
        else 'priced'
    end as fate
from placed
left join charge_service_codes
    on
        placed.plan_id = charge_service_codes.plan_id
        and placed.plan_version = charge_service_codes.version
        and placed.service_code = charge_service_codes.service_code
left join fx_spans
    on
        placed.currency = fx_spans.base
        and placed.plan_currency = fx_spans.quote
        and placed.occurred_on >= fx_spans.valid_from
        and placed.occurred_on < fx_spans.valid_to
