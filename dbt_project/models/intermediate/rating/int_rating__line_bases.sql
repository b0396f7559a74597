with charges as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        charge_model
    from {{ ref('int_rating__segment_charges') }}
    where charge_model in ('percentage', 'discount', 'minimum_commit')

),

bases as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        base_code,
        is_site_limited,
        site_id
    from {{ ref('int_rating__bases') }}

),

lines as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        band,
        amount
    from {{ ref('int_rating__lines') }}
    -- Exception events are billed alone and count in no base.
    where classification != 'exception' and amount is not null

)

select
    charges.contract_id,
    charges.term_no,
    charges.period,
    charges.charge_code,
    case when charges.charge_model != 'minimum_commit' then lines.site_id end as site_id,
    lines.charge_code as base_charge_code,
    lines.site_id as base_site_id,
    lines.band as base_band,
    lines.amount
from charges
inner join bases
    on
        charges.contract_id = bases.contract_id
        and charges.term_no = bases.term_no
        and charges.period = bases.period
        and charges.charge_code = bases.charge_code
inner join lines
    on
        bases.contract_id = lines.contract_id
        and bases.term_no = lines.term_no
        and bases.period = lines.period
        and bases.base_code = lines.charge_code
        and (not bases.is_site_limited or bases.site_id = lines.site_id)
