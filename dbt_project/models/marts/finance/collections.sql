with invoices as (

    select
        statement_number,
        statement_id,
        payer_id,
        currency,
        document_type,
        amount_due,
        due_date
    from {{ ref('invoices') }}

),

payers as (

    select
        payer_id,
        dunning_policy
    from {{ source('book', 'payers') }}

),

dunning_policies as (

    select
        policy_id,
        only_above
    from {{ source('book', 'dunning_policies') }}

),

dunning_stages as (

    select
        policy_id,
        stage_no,
        stage,
        days_overdue,
        action
    from {{ source('book', 'dunning_stages') }}

),

reminders as (

    select
        statement_number,
        stage,
        recorded_at
    from {{ source('ledger', 'reminders') }}

),

holds as (

    select
        scope,
        subject,
        reason
    from {{ source('ledger', 'holds') }}
    where active

),

promises as (

    select
        payer_id,
        until_date
    from {{ source('ledger', 'promises') }}

),

disputes as (

    select subject
    from {{ source('ledger', 'disputes') }}
    where state = 'open'

),

build_context as (

    select {{ utc_date('now_at') }} as as_of
    from {{ source('context', 'build_context') }}

),

unused_credits as (

    select
        payer_id,
        currency,
        sum(remaining) as credit
    from {{ ref('payer_credits') }}
    group by payer_id, currency

),

overdue as (

    select
        invoices.statement_number,
        invoices.statement_id,
        invoices.payer_id,
        invoices.amount_due,
        invoices.currency,
        invoices.due_date,
        build_context.as_of,
        build_context.as_of - invoices.due_date as days_overdue,
        payers.dunning_policy as policy_id,
        sum(invoices.amount_due) over (partition by invoices.payer_id, invoices.currency) as overdue_balance,
        coalesce(unused_credits.credit, 0) as credit
    from invoices
    cross join build_context
    left join payers
        on invoices.payer_id = payers.payer_id
    left join unused_credits
        on
            invoices.payer_id = unused_credits.payer_id
            and invoices.currency = unused_credits.currency
    where invoices.document_type = 'ACCREC' and invoices.amount_due > 0 and invoices.due_date < build_context.as_of

),

done as (

    select
        statement_number,
        max_by(stage, recorded_at) as last_stage,
        max(recorded_at) as last_stage_at
    from reminders
    group by statement_number

),

-- A stage needs all earlier ones: the next is the first that has not fired.
pending as (

    select
        overdue.statement_number,
        min_by(dunning_stages.stage, dunning_stages.stage_no) as next_stage,
        min_by(dunning_stages.action, dunning_stages.stage_no) as next_stage_action,
        min_by(overdue.due_date + dunning_stages.days_overdue, dunning_stages.stage_no) as next_stage_on
    from overdue
    inner join dunning_stages
        on overdue.policy_id = dunning_stages.policy_id
    left join reminders
        on
            overdue.statement_number = reminders.statement_number
            and dunning_stages.stage = reminders.stage
    where reminders.stage is null
    group by overdue.statement_number

)

select
    overdue.statement_number,
    overdue.statement_id,
    overdue.payer_id,
    overdue.amount_due,
    overdue.currency,
    overdue.due_date,
    cast(overdue.days_overdue as integer) as days_overdue,
    overdue.policy_id,
    done.last_stage,
    done.last_stage_at,
    pending.next_stage,
    pending.next_stage_action,
    pending.next_stage_on,
    case
        when disputes.subject is not null then 'the invoice is disputed'
        when statement_holds.subject is not null then coalesce('on hold: ' || statement_holds.reason, 'on hold')
        when payer_holds.subject is not null then coalesce('payer on hold: ' || payer_holds.reason, 'payer on hold')
        when promises.until_date >= overdue.as_of then 'the payer promised to pay by ' || promises.until_date
        when overdue.policy_id is null then 'the payer has no dunning policy'
        when overdue.overdue_balance - overdue.credit <= dunning_policies.only_above
            then
                'the overdue balance of ' || overdue.currency || ' ' || overdue.overdue_balance
                || case when overdue.credit > 0 then ', less ' || overdue.credit || ' of credit,' else '' end
                || ' is not above the policy''s limit'
    end as held_reason
from overdue
left join dunning_policies
    on overdue.policy_id = dunning_policies.policy_id
left join done
    on overdue.statement_number = done.statement_number
left join pending
    on overdue.statement_number = pending.statement_number
left join disputes
    on disputes.subject in (overdue.statement_number, overdue.statement_id)
left join holds as statement_holds
    on
        statement_holds.scope = 'statement'
        and statement_holds.subject in (overdue.statement_number, overdue.statement_id)
left join holds as payer_holds
    on
        payer_holds.scope = 'payer'
        and overdue.payer_id = payer_holds.subject
left join promises
    on overdue.payer_id = promises.payer_id
