-- The quantities of tiers add up to the usage of the contract, but for the rounding of each to 6 decimals.
with parts as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        sum(quantity) as quantity,
        count(*) as parts
    from {{ ref('int_rating__graduated') }}
    group by contract_id, term_no, period, charge_code, site_id

),

per_contract as (

    select
        parts.contract_id,
        parts.term_no,
        parts.period,
        parts.charge_code,
        sum(parts.quantity) as quantity,
        sum(parts.parts) as parts
    from parts
    group by parts.contract_id, parts.term_no, parts.period, parts.charge_code

),

usage as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        sum(usage) as usage
    from {{ ref('int_rating__site_usage') }}
    group by contract_id, term_no, period, charge_code

)

select
    per_contract.contract_id,
    per_contract.term_no,
    per_contract.period,
    per_contract.charge_code,
    per_contract.quantity,
    usage.usage
from per_contract
inner join usage
    on
        per_contract.contract_id = usage.contract_id
        and per_contract.term_no = usage.term_no
        and per_contract.period = usage.period
        and per_contract.charge_code = usage.charge_code
where abs(per_contract.quantity - usage.usage) > per_contract.parts * 0.000001
