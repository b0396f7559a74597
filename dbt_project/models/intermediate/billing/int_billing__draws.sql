with recursive draws_in_order as (

    select
        chain,
        draw_no,
        credit_id,
        period,
        statement_id,
        fx_rate,
        minor_units,
        balance,
        drawable
    from {{ ref('int_billing__draws_in_order') }}

),

draws as (

    select
        chain,
        cast(0 as bigint) as draw_no,
        cast(null as string) as credit_id,
        cast(null as string) as period,
        cast(0 as decimal(18, 2)) as drawn,
        cast(0 as decimal(38, 9)) as balance,
        {{ empty_map('decimal(38, 9)') }} as drawn_of_credit,
        {{ empty_map('decimal(38, 2)') }} as drawn_of_statement
    from draws_in_order
    where draw_no = 1
    union all
    select
        step.chain,
        step.draw_no,
        step.credit_id,
        step.period,
        step.drawn,
        step.balance,
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
            rest.chain,
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
                draws_in_order.chain,
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
                on
                    draws.chain = draws_in_order.chain
                    and draws.draw_no + 1 = draws_in_order.draw_no
        ) as rest
    ) as step

)

select
    credit_id,
    period,
    drawn,
    drawn_of_credit[credit_id] >= balance as is_used_up
from draws
where draw_no > 0
