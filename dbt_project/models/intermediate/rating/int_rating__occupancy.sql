with stays as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        machine_id,
        starts_at,
        ends_at
    from {{ ref('int_rating__stays') }}

)

select
    contract_id,
    term_no,
    period,
    site_id,
    machine_id,
    cast(sum({{ us('ends_at') }} - {{ us('starts_at') }}) as bigint) as occupied_us
from stays
group by contract_id, term_no, period, site_id, machine_id
