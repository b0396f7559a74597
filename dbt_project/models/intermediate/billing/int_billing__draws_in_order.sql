with candidates as (

    select
        credit_id,
        contract_id,
        kind,
        credit_amount,
        drawn_before,
        valid_from_at,
        is_valid,
        period,
        payer_id,
        statement_id,
        fx_rate,
        minor_units,
        given_once
    from {{ ref('int_billing__credit_candidates') }}

),

owed_lines as (

    select
        statement_id,
        amount
    from {{ ref('int_billing__owed_lines') }}

),

adjustments as (

    select
        statement_id,
        amount
    from {{ ref('int_billing__adjustments') }}

),

statement_amounts as (

    select
        statement_id,
        amount
    from owed_lines
    union all
    select
        statement_id,
        amount
    from adjustments

),

statement_totals as (

    select
        statement_id,
        sum(amount) as net
    from statement_amounts
    group by statement_id

),

given_by_statement as (

    select
        statement_id,
        sum(given_once) as net
    from candidates
    group by statement_id

),

-- Payers who draw on one credit, as its contract was paid by one after the other.
contracts_of_several as (

    select contract_id
    from candidates
    where kind = 'prepaid'
    group by contract_id
    having count(distinct payer_id) > 1

),

payers_together as (

    select distinct candidates.payer_id
    from candidates
    inner join contracts_of_several
        on candidates.contract_id = contracts_of_several.contract_id
    where candidates.kind = 'prepaid'

),

draws as (

    select
        -- No payer's id is empty.
        case when payers_together.payer_id is null then candidates.payer_id else '' end as chain,
        candidates.credit_id,
        candidates.period,
        candidates.statement_id,
        candidates.valid_from_at,
        candidates.fx_rate,
        candidates.minor_units,
        cast(candidates.credit_amount - candidates.drawn_before as decimal(38, 9)) as balance,
        cast(greatest(statement_totals.net + coalesce(given_by_statement.net, 0), 0) as decimal(38, 2)) as drawable
    from candidates
    inner join statement_totals
        on candidates.statement_id = statement_totals.statement_id
    left join given_by_statement
        on candidates.statement_id = given_by_statement.statement_id
    left join payers_together
        on candidates.payer_id = payers_together.payer_id
    where
        candidates.kind = 'prepaid'
        and candidates.fx_rate is not null
        and candidates.is_valid

)

select
    chain,
    row_number() over (partition by chain order by period, statement_id, valid_from_at, credit_id) as draw_no,
    credit_id,
    period,
    statement_id,
    fx_rate,
    minor_units,
    balance,
    drawable
from draws
