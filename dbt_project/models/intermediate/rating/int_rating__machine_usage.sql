with pieces as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        machine_id,
        quantity,
        is_estimated
    from {{ ref('int_metering__pieces') }}

)

select
    contract_id,
    term_no,
    period,
    site_id,
    metric,
    machine_id,
    cast(sum(quantity) as decimal(38, 9)) as quantity,
    cast(sum(case when is_estimated then quantity else 0 end) as decimal(38, 9)) as estimated_quantity
from pieces
group by contract_id, term_no, period, site_id, metric, machine_id
