-- Who is responsible for a meter: one span where placement, assignment and contract term all hold.
with placements as (

    select
        site_id,
        meter_id,
        machine_id,
        valid_from_at,
        valid_to_at
    from {{ source('book', 'placements') }}

),

assignments as (

    select
        machine_id,
        contract_id,
        valid_from_at,
        valid_to_at
    from {{ source('book', 'assignments') }}

),

contract_terms as (

    select
        contract_id,
        term_no,
        billing_timezone,
        valid_from_at,
        valid_to_at
    from {{ source('book', 'contract_terms') }}

),

combined as (

    select
        placements.site_id,
        placements.meter_id,
        placements.machine_id,
        assignments.contract_id,
        contract_terms.term_no,
        contract_terms.billing_timezone,
        greatest(placements.valid_from_at, assignments.valid_from_at, contract_terms.valid_from_at) as span_start,
        -- least() passes over nulls, which are open ends.
        least(placements.valid_to_at, assignments.valid_to_at, contract_terms.valid_to_at) as span_end
    from placements
    inner join assignments
        on placements.machine_id = assignments.machine_id
    inner join contract_terms
        on assignments.contract_id = contract_terms.contract_id

)

select
    site_id,
    meter_id,
    machine_id,
    contract_id,
    term_no,
    billing_timezone,
    span_start,
    span_end
from combined
where
    span_end is null
    or span_start < span_end
