-- A statement has one payer, currency, period and kind, and its lines add up to it.
with lines as (

    select
        statement_id,
        count(distinct payer_id) as payers,
        count(distinct currency) as currencies,
        count(distinct period) as periods,
        count(distinct statement_kind) as kinds,
        count(*) as lines,
        sum(amount) as net,
        sum(coalesce(tax_amount, 0)) as tax
    from {{ ref('statement_lines') }}
    group by statement_id

),

statements as (

    select
        statement_id,
        lines,
        net,
        tax,
        total
    from {{ ref('statements') }}

)

select
    statements.statement_id,
    statements.lines,
    lines.lines as lines_found,
    statements.net,
    lines.net as net_found,
    statements.tax,
    lines.tax as tax_found
from statements
left join lines
    on statements.statement_id = lines.statement_id
where
    coalesce(lines.payers, 1) != 1
    or coalesce(lines.currencies, 1) != 1
    or coalesce(lines.periods, 1) != 1
    or coalesce(lines.kinds, 1) != 1
    or coalesce(lines.lines, 0) != statements.lines
    or coalesce(lines.net, 0) != statements.net
    or coalesce(lines.tax, 0) != statements.tax
    or statements.net + statements.tax != statements.total
