-- volume: all usage of a site at the rate of the tier that is reached, by the site's usage or by that of all sites of the contract.
insert into lines by name
with reached as (
    select
        used.*,
        sum(used.usage) over (partition by used.contract_id, used.term_no, used.period, used.code) as contract_usage
    from charge_usage as used
)

select
    charges.contract_id,
    charges.term_no,
    charges.period,
    charges.code,
    charges.model,
    'variable' as classification,
    used.site_id,
    cast(tiers.tier_no as varchar) as band,
    round(used.usage, 6) as quantity,
    charges.unit,
    tiers.rate as unit_price,
    case charges.plan_minor_units
        when 0 then cast(round(used.usage * tiers.rate, 0) as decimal(18, 2))
        else cast(round(used.usage * tiers.rate, 2) as decimal(18, 2))
    end as plan_amount,
    round(used.estimated_usage, 6) as estimated_quantity
from priced_charges as charges
inner join reached as used
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
    and tiers.from_quantity < case charges.per when 'contract' then used.contract_usage else used.usage end
    and (
        tiers.up_to is null
        or tiers.up_to >= case charges.per when 'contract' then used.contract_usage else used.usage end
    )
where charges.model = 'volume';

select contract_id, period, code, site_id, band, quantity, unit, unit_price, plan_amount
from lines
where model = 'volume'
order by all;
