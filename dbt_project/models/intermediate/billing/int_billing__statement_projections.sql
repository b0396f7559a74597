with statement_lines as (

    select
        statement_id,
        line_key,
        amount,
        tax_amount
    from {{ ref('int_billing__statement_lines') }}
    where not is_issued

),

projections as (

    select
        line_key,
        projected_amount,
        projected_tax_amount
    from {{ ref('int_billing__projections') }}

)

select
    statement_lines.statement_id,
    cast(sum(coalesce(projections.projected_amount, statement_lines.amount)) as decimal(38, 2)) as projected_net,
    cast(sum(coalesce(projections.projected_tax_amount, statement_lines.tax_amount, 0)) as decimal(38, 2)) as projected_tax
from statement_lines
left join projections
    on statement_lines.line_key = projections.line_key
group by statement_lines.statement_id
