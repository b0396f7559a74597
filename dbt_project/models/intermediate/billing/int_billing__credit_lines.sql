with recursive credits as (

    select
        credit_id,
        contract_id,
        kind,
        cast(amount as decimal(38, 9)) as amount,
        currency,
        valid_from_at,
        valid_to_at,
        note
    from {{ source('book', 'credits') }}

),

segments as (

    select
        contract_id,
        term_no,
        period,
        period_start,
        period_end,
        customer_id
    from {{ ref('int_billing__segments') }}

),

destinations as (

    select
        contract_id,
        term_no,
        period,
        payer_id,
        currency,
        minor_units,
        statement_id,
        last_day,
        tax_code,
        tax_rate_percent
    from {{ ref('int_billing__destinations') }}
    where charge_code = 'credit' and site_id is null

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

issued_statements as (

    select
        period,
        statement_id
    from {{ source('ledger', 'issued_statements') }}

),

issued_lines as (

    select
        contract_id,
        period,
        line_key,
        amount,
        currency
    from {{ source('ledger', 'issued_lines') }}
    where charge_code = 'credit'

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

last_issued as (

    select max(period) as period
    from issued_statements

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

-- A statement that can still change keeps its period open for its payer.
waiting as (

    select
        payer_id,
        period
    from {{ ref('int_billing__waiting') }}

),

candidates as (

    select
        credits.credit_id,
        credits.contract_id,
        credits.kind,
        credits.amount as credit_amount,
        credits.currency as credit_currency,
        credits.valid_from_at,
        credits.valid_to_at,
        credits.note,
        segments.period,
        segments.period_start,
        segments.customer_id,
        segments.term_no,
        destinations.payer_id,
        destinations.currency,
        destinations.minor_units,
        destinations.statement_id,
        destinations.last_day,
        destinations.tax_code,
        destinations.tax_rate_percent,
        case when credits.currency = destinations.currency then cast(1 as decimal(38, 12)) else fx_spans.rate end as fx_rate
    from credits
    inner join segments
        on
            credits.contract_id = segments.contract_id
            and credits.valid_from_at < segments.period_end
    inner join destinations
        on
            segments.contract_id = destinations.contract_id
            and segments.term_no = destinations.term_no
            and segments.period = destinations.period
    left join fx_spans
        on
            credits.currency = fx_spans.base
            and destinations.currency = fx_spans.quote
            and destinations.last_day >= fx_spans.valid_from
            and destinations.last_day < fx_spans.valid_to
    cross join last_issued
    left join issued_statements
        on destinations.statement_id = issued_statements.statement_id
    left join waiting
        on
            destinations.payer_id = waiting.payer_id
            and segments.period = waiting.period
    where
        last_issued.period is null
        or segments.period > last_issued.period
        or (issued_statements.statement_id is null and waiting.period is not null)

),

-- What an issued statement holds is never given again.
first_open as (

    select
        candidates.credit_id,
        min(candidates.period) as period
    from candidates
    where
        candidates.kind != 'prepaid'
        and not exists (
            select 1
            from issued_lines
            where
                issued_lines.contract_id = candidates.contract_id
                and issued_lines.line_key = candidates.contract_id || '/' || issued_lines.period || '/0/credit/-/' || candidates.credit_id
        )
    group by candidates.credit_id

),

given_once as (

    select
        candidates.credit_id,
        candidates.contract_id,
        candidates.period,
        -{{ to_minor_unit(exact_product('candidates.credit_amount', 9, 'candidates.fx_rate', 12), 'candidates.minor_units') }} as amount
    from candidates
    inner join first_open
        on
            candidates.credit_id = first_open.credit_id
            and candidates.period = first_open.period
    where candidates.valid_to_at is null or candidates.valid_to_at > candidates.period_start

),

given_by_statement as (

    select
        candidates.statement_id,
        sum(given_once.amount) as net
    from given_once
    inner join candidates
        on
            given_once.credit_id = candidates.credit_id
            and given_once.period = candidates.period
    group by candidates.statement_id

),

-- Issued draws, converted back by the rate of their own period where currencies differ.
drawn_before as (

    select
        credits.credit_id,
        sum(
            case
                when issued_lines.currency = credits.currency then cast(-issued_lines.amount as decimal(38, 9))
                else {{ divide_round('-issued_lines.amount', 2, 'fx_spans.rate', 12, 9) }}
            end
        ) as drawn
    from credits
    inner join issued_lines
        on
            credits.contract_id = issued_lines.contract_id
            and issued_lines.line_key = credits.contract_id || '/' || issued_lines.period || '/0/credit/-/' || credits.credit_id
    left join fx_spans
        on
            credits.currency = fx_spans.base
            and issued_lines.currency = fx_spans.quote
            and last_day(cast(issued_lines.period || '-01' as date)) >= fx_spans.valid_from
            and last_day(cast(issued_lines.period || '-01' as date)) < fx_spans.valid_to
    where credits.kind = 'prepaid'
    group by credits.credit_id

),

-- Draws are made one after the other: by period, statement, valid_from and credit_id.
draws_in_order as (

    select
        row_number() over (
            order by candidates.period, candidates.statement_id, candidates.valid_from_at, candidates.credit_id
        ) as draw_no,
        candidates.credit_id,
        candidates.period,
        candidates.statement_id,
        candidates.fx_rate,
        candidates.minor_units,
        cast(candidates.credit_amount - coalesce(drawn_before.drawn, 0) as decimal(38, 9)) as balance,
        cast(greatest(statement_totals.net + coalesce(given_by_statement.net, 0), 0) as decimal(38, 2)) as drawable
    from candidates
    inner join statement_totals
        on candidates.statement_id = statement_totals.statement_id
    left join given_by_statement
        on candidates.statement_id = given_by_statement.statement_id
    left join drawn_before
        on candidates.credit_id = drawn_before.credit_id
    where
        candidates.kind = 'prepaid'
        and candidates.fx_rate is not null
        and (candidates.valid_to_at is null or candidates.valid_to_at > candidates.period_start)

),

draws as (

    select
        cast(0 as bigint) as draw_no,
        cast(null as string) as credit_id,
        cast(null as string) as period,
        cast(0 as decimal(18, 2)) as drawn,
        {{ empty_map('decimal(38, 9)') }} as drawn_of_credit,
        {{ empty_map('decimal(38, 2)') }} as drawn_of_statement
    union all
    select
        step.draw_no,
        step.credit_id,
        step.period,
        step.drawn,
        map_concat(
            step.drawn_of_credit,
            {{ map_of(
                'step.credit_id',
                'cast(case when step.drawn = step.available then step.balance else coalesce(step.drawn_of_credit[step.credit_id], 0) + '
                ~ divide_round('step.drawn', 2, 'step.fx_rate', 12, 9) ~ ' end as decimal(38, 9))'
            ) }}
        ) as drawn_of_credit,
        map_concat(
            step.drawn_of_statement,
            {{ map_of(
                'step.statement_id', 'cast(coalesce(step.drawn_of_statement[step.statement_id], 0) + step.drawn as decimal(38, 2))'
            ) }}
        ) as drawn_of_statement
    from (
        select
            rest.draw_no,
            rest.credit_id,
            rest.period,
            rest.statement_id,
            rest.fx_rate,
            rest.balance,
            rest.available,
            rest.drawn_of_credit,
            rest.drawn_of_statement,
            cast(least(rest.available, rest.drawable_rest) as decimal(18, 2)) as drawn
        from (
            select
                draws_in_order.draw_no,
                draws_in_order.credit_id,
                draws_in_order.period,
                draws_in_order.statement_id,
                draws_in_order.fx_rate,
                draws_in_order.balance,
                draws.drawn_of_credit,
                draws.drawn_of_statement,
                draws_in_order.drawable - coalesce(draws.drawn_of_statement[draws_in_order.statement_id], 0) as drawable_rest,
                {{ to_minor_unit(
                    exact_product(
                        'draws_in_order.balance - coalesce(draws.drawn_of_credit[draws_in_order.credit_id], 0)', 9,
                        'draws_in_order.fx_rate', 12
                    ),
                    'draws_in_order.minor_units'
                ) }} as available
            from draws
            inner join draws_in_order
                on draws.draw_no + 1 = draws_in_order.draw_no
        ) as rest
    ) as step

),

-- From when on nothing is left of a balance: a rate for it is not needed any more.
used_up as (

    select
        draws_in_order.credit_id,
        min(draws_in_order.period) as period
    from draws_in_order
    inner join draws
        on draws_in_order.draw_no = draws.draw_no
    where draws.drawn_of_credit[draws.credit_id] >= draws_in_order.balance
    group by draws_in_order.credit_id

),

given as (

    select
        credit_id,
        period,
        amount
    from given_once
    union all
    select
        credit_id,
        period,
        -drawn as amount
    from draws
    where drawn > 0

)

select
    candidates.period,
    candidates.statement_id,
    'consolidated' as statement_kind,
    candidates.payer_id,
    candidates.customer_id,
    candidates.contract_id,
    candidates.term_no,
    cast(null as string) as plan_id,
    cast(null as integer) as plan_version,
    'credit' as charge_code,
    'credit' as charge_model,
    'variable' as classification,
    cast(null as string) as site_id,
    cast(null as string) as region,
    cast(null as string) as band,
    cast(null as string) as event_id,
    {{ month_in_words('candidates.period') }} || ' ' || candidates.kind || ' credit ' || candidates.credit_id
    || coalesce(' (' || candidates.note || ')', '') || ': '
    || {{ money_in_words('given.amount', 'candidates.currency', 'candidates.minor_units') }} as description,
    cast(1 as decimal(18, 6)) as quantity,
    'flat' as unit,
    cast(given.amount as decimal(38, 9)) as unit_price,
    given.amount,
    candidates.currency,
    candidates.tax_code,
    candidates.tax_rate_percent,
    {{ to_minor_unit(
        exact_product('given.amount', 2, exact_product('candidates.tax_rate_percent', 4, '0.01', 2), 6), 'candidates.minor_units'
    ) }} as tax_amount,
    cast(0 as decimal(18, 6)) as estimated_quantity,
    candidates.contract_id || '/' || candidates.period || '/0/credit/-/' || candidates.credit_id as line_key,
    case when candidates.fx_rate is null then 'missing_fx_rate' end as problem,
    cast(1 as bigint) as problem_count,
    case
        when candidates.fx_rate is null
            then
                'No exchange rate of at most 7 days from ' || candidates.credit_currency || ' to ' || candidates.currency || ' on '
                || candidates.last_day
    end as problem_detail
from candidates
inner join given
    on
        candidates.credit_id = given.credit_id
        and candidates.period = given.period
where given.amount is distinct from 0
union all
select
    candidates.period,
    candidates.statement_id,
    'consolidated' as statement_kind,
    candidates.payer_id,
    candidates.customer_id,
    candidates.contract_id,
    candidates.term_no,
    cast(null as string) as plan_id,
    cast(null as integer) as plan_version,
    'credit' as charge_code,
    'credit' as charge_model,
    'variable' as classification,
    cast(null as string) as site_id,
    cast(null as string) as region,
    cast(null as string) as band,
    cast(null as string) as event_id,
    cast(null as string) as description,
    cast(1 as decimal(18, 6)) as quantity,
    'flat' as unit,
    cast(null as decimal(38, 9)) as unit_price,
    cast(null as decimal(18, 2)) as amount,
    candidates.currency,
    candidates.tax_code,
    candidates.tax_rate_percent,
    cast(null as decimal(18, 2)) as tax_amount,
    cast(0 as decimal(18, 6)) as estimated_quantity,
    candidates.contract_id || '/' || candidates.period || '/0/credit/-/' || candidates.credit_id as line_key,
    'missing_fx_rate' as problem,
    cast(1 as bigint) as problem_count,
    'No exchange rate of at most 7 days from ' || candidates.credit_currency || ' to ' || candidates.currency || ' on '
    || candidates.last_day as problem_detail
from candidates
left join drawn_before
    on candidates.credit_id = drawn_before.credit_id
left join used_up
    on
        candidates.credit_id = used_up.credit_id
        and candidates.period > used_up.period
where
    candidates.kind = 'prepaid'
    and candidates.fx_rate is null
    and (candidates.valid_to_at is null or candidates.valid_to_at > candidates.period_start)
    and used_up.credit_id is null
    and coalesce(drawn_before.drawn, 0) < candidates.credit_amount
