{{ config(materialized='ephemeral') }}

with charges as (

    select
        contract_id,
        term_no,
        period,
        plan_id,
        plan_version,
        charge_code,
        is_site_limited
    from {{ ref('int_rating__segment_charges') }}
    where charge_model in ('percentage', 'discount', 'minimum_commit')

),

charge_bases as (

    select
        plan_id,
        version,
        code,
        base_code
    from {{ source('book', 'charge_bases') }}

),

charge_sites as (

    select
        plan_id,
        version,
        code,
        site_id
    from {{ source('book', 'charge_sites') }}

)

-- Sites null: the charge takes in lines of any site and of none.
select
    charges.contract_id,
    charges.term_no,
    charges.period,
    charges.charge_code,
    charge_bases.base_code,
    charges.is_site_limited,
    case when charges.is_site_limited then charge_sites.site_id end as site_id
from charges
inner join charge_bases
    on
        charges.plan_id = charge_bases.plan_id
        and charges.plan_version = charge_bases.version
        and charges.charge_code = charge_bases.code
left join charge_sites
    on
        charges.is_site_limited
        and charges.plan_id = charge_sites.plan_id
        and charges.plan_version = charge_sites.version
        and charges.charge_code = charge_sites.code
where not charges.is_site_limited or charge_sites.site_id is not null
