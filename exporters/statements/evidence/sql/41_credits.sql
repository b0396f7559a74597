-- Step 41. Credits. They come from the book, not from readings. A prepaid balance is drawn from what is left of it after the draws
-- of credits_drawn_before.parquet, at most up to what the statement comes to before tax after all other credits; several are drawn
-- in the order of valid_from and credit_id. Any other credit is given once, whole.
create or replace table credit_lines as
with given as (
    select
        stated.line_key,
        credits.credit_id,
        credits.kind,
        credits.amount as credit_amount,
        credits.currency as credit_currency,
        credits.valid_from_at,
        addressed.*,
        case when credits.currency = addressed.currency then cast(1 as decimal(38, 12)) else exchange_rates.rate end as credit_rate
    from 'data/statement_lines.parquet' as stated
    inner join 'data/credits.parquet' as credits
        on
            stated.contract_id = credits.contract_id
            and stated.line_key = credits.contract_id || '/' || stated.period || '/0/credit/-/' || credits.credit_id
    inner join addressed
        on stated.contract_id = addressed.contract_id and stated.period = addressed.period and addressed.code = 'credit'
    left join exchange_rates
        on
            credits.currency = exchange_rates.base
            and addressed.currency = exchange_rates.quote
            and addressed.last_of_month >= exchange_rates.first_day
            and addressed.last_of_month < exchange_rates.day_after
    where stated.charge_model = 'credit'
),

drawn_before as (
    select
        before.credit_id,
        sum(
            case
                when before.currency = credits.currency then cast(-before.amount as decimal(38, 9))
                -- converted back by the rate of its own month: amount ÷ rate, rounded to 9 decimals
                else cast(
                    (
                        2 * cast(-before.amount * 100 as hugeint) * 10000000000000000000::hugeint
                        + cast(exchange_rates.rate * 1000000000000 as hugeint)
                    )
                    // (2 * cast(exchange_rates.rate * 1000000000000 as hugeint)) as decimal(38, 0)
                ) * cast('0.000000001' as decimal(9, 9))
            end
        ) as drawn
    from 'data/credits_drawn_before.parquet' as before
    inner join 'data/credits.parquet' as credits
        on before.credit_id = credits.credit_id
    left join exchange_rates
        on
            credits.currency = exchange_rates.base
            and before.currency = exchange_rates.quote
            and last_day(cast(before.period || '-01' as date)) >= exchange_rates.first_day
            and last_day(cast(before.period || '-01' as date)) < exchange_rates.day_after
    group by before.credit_id
),

available as (
    select
        given.*,
        case given.kind when 'prepaid' then given.credit_amount - coalesce(drawn_before.drawn, 0) else given.credit_amount end as balance,
        case given.minor_units
            when 0 then cast(round(cast(balance as decimal(38, 9)) * given.credit_rate, 0) as decimal(18, 2))
            else cast(round(cast(balance as decimal(38, 9)) * given.credit_rate, 2) as decimal(18, 2))
        end as available_amount
    from given
    left join drawn_before
        on given.credit_id = drawn_before.credit_id
),

-- What the statement comes to before prepaid balances: its other lines, adjustments as they are stated.
before_draws as (
    select
        (
            select coalesce(sum(recomputed.amount), 0)
            from recomputed
            inner join 'data/statement.parquet' as statement
                on recomputed.statement_id = statement.statement_id
        ) + (
            select coalesce(sum(stated.amount), 0) from 'data/statement_lines.parquet' as stated
            where stated.adjusts_period is not null
        ) - (
            select coalesce(sum(available.available_amount), 0) from available
            where available.kind != 'prepaid'
        ) as net
),

in_turn as (
    select
        available.*,
        greatest(before_draws.net, 0) as drawable,
        sum(available.available_amount) over (
            partition by available.kind = 'prepaid'
            order by available.valid_from_at, available.credit_id
            rows unbounded preceding
        ) as so_far
    from available
    cross join before_draws
)

select
    *,
    -cast(
        case kind
            when 'prepaid' then least(so_far, drawable) - least(so_far - available_amount, drawable)
            else available_amount
        end as decimal(18, 2)
    ) as amount
from in_turn;

insert into recomputed by name
select
    line_key,
    statement_id,
    contract_id,
    term_no,
    period,
    'credit' as code,
    'credit' as model,
    payer_id,
    currency,
    1 as quantity,
    'flat' as unit,
    amount as unit_price,
    amount,
    tax_code,
    tax_rate_percent,
    case minor_units
        when 0 then cast(round(amount * cast(tax_rate_percent * 0.01 as decimal(38, 6)), 0) as decimal(18, 2))
        else cast(round(amount * cast(tax_rate_percent * 0.01 as decimal(38, 6)), 2) as decimal(18, 2))
    end as tax_amount,
    0 as estimated_quantity
from credit_lines;

select line_key, kind, balance, available_amount, drawable, amount
from credit_lines
order by line_key;
