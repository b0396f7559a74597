-- stairstep: the amount of the step that the usage of a site reaches.
insert into lines by name
select
    charges.contract_id,
    charges.term_no,
    charges.period,
    charges.code,
    charges.model,
    'variable' as classification,
    used.site_id,
    cast(tiers.tier_no as varchar) as band,
    1 as quantity,
    'flat' as unit,
    case charges.plan_minor_units
        when 0 then cast(round(tiers.amount, 0) as decimal(18, 2))
        else cast(round(tiers.amount, 2) as decimal(18, 2))
    end as plan_amount,
    plan_amount as unit_price,
    0 as estimated_quantity
from priced_charges as charges
inner join charge_usage as used
    on
        charges.contract_id = used.contract_id
        and charges.term_no = used.term_no
        and charges.period = used.period
        and charges.code = used.code
inner join 'data/charge_tiers.parquet' as tiers
    on
        charges.plan_id = tiers.plan_id
        and charges.version = tiers.version
        and charges.code = tiers.code
    and tiers.from_quantity < used.usage
    and (tiers.up_to is null or tiers.up_to >= used.usage)
where charges.model = 'stairstep';

select contract_id, period, code, site_id, band, quantity, unit, unit_price, plan_amount
from lines
where model = 'stairstep'
order by all;
