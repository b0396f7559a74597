{{ config(materialized='ephemeral') }}

with charge_tiers as (

    select
        plan_id,
        version,
        code,
        tier_no,
        from_quantity,
        up_to,
        rate,
        amount
    from {{ source('book', 'charge_tiers') }}

),

charges as (

    select
        contract_id,
        term_no,
        period,
        plan_id,
        plan_version,
        plan_minor_units,
        charge_code,
        charge_model,
        metric,
        unit,
        per
    from {{ ref('int_rating__segment_charges') }}
    where charge_model in ('graduated', 'volume', 'stairstep')

)

select
    charges.contract_id,
    charges.term_no,
    charges.period,
    charges.plan_id,
    charges.plan_version,
    charges.plan_minor_units,
    charges.charge_code,
    charges.charge_model,
    charges.metric,
    charges.unit,
    charges.per,
    charge_tiers.tier_no,
    cast(charge_tiers.from_quantity as decimal(38, 12)) as from_quantity,
    cast(charge_tiers.up_to as decimal(38, 12)) as up_to,
    charge_tiers.rate,
    charge_tiers.amount
from charges
inner join charge_tiers
    on
        charges.plan_id = charge_tiers.plan_id
        and charges.plan_version = charge_tiers.version
        and charges.charge_code = charge_tiers.code
