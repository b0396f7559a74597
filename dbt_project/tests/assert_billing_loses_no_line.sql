-- Every rated line reaches a statement or an exception; only lines of 0.00, in plan or payer currency, are dropped.
with rated as (

    select
        lines.contract_id,
        lines.period,
        count(*) as lines
    from {{ ref('int_rating__lines') }} as lines
    inner join {{ ref('int_billing__destinations') }} as destinations
        on
            lines.contract_id = destinations.contract_id
            and lines.term_no = destinations.term_no
            and lines.period = destinations.period
            and lines.site_id is not distinct from destinations.site_id
            and lines.charge_code is not distinct from destinations.charge_code
    group by lines.contract_id, lines.period

),

all_lines as (

    select
        contract_id,
        period,
        count(*) as lines
    from {{ ref('int_rating__lines') }}
    group by contract_id, period

)

select
    all_lines.contract_id,
    all_lines.period,
    all_lines.lines,
    rated.lines as lines_with_destination
from all_lines
left join rated
    on
        all_lines.contract_id = rated.contract_id
        and all_lines.period = rated.period
where all_lines.lines is distinct from rated.lines
