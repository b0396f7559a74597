-- percentage: a percentage of the amounts of the charges that it names, a line per site.
create or replace table base_amounts as
select
    charges.contract_id,
    charges.term_no,
    charges.period,
    charges.code,
    lines.site_id,
    cast(sum(lines.plan_amount) as decimal(38, 2)) as base_amount
from priced_charges as charges
inner join 'data/charge_bases.parquet' as bases
    on
        charges.plan_id = bases.plan_id
        and charges.version = bases.version
        and charges.code = bases.code
inner join lines
    on
        charges.contract_id = lines.contract_id
        and charges.term_no = lines.term_no
        and charges.period = lines.period
        and bases.base_code = lines.code
where
    charges.model = 'percentage'
    -- events that are billed alone are part of no base
    and lines.classification != 'exception'
    and (
        not charges.is_site_limited
        or lines.site_id in (
            select charge_sites.site_id from 'data/charge_sites.parquet' as charge_sites
            where
                charge_sites.plan_id = charges.plan_id
                and charge_sites.version = charges.version
                and charge_sites.code = charges.code
        )
    )
group by all;

insert into lines by name
select
    charges.contract_id,
    charges.term_no,
    charges.period,
    charges.code,
    charges.model,
    'variable' as classification,
    base_amounts.site_id,
    1 as quantity,
    'flat' as unit,
    case charges.plan_minor_units
        when 0 then cast(round(base_amounts.base_amount * cast(charges.percent * 0.01 as decimal(38, 6)), 0) as decimal(18, 2))
        else cast(round(base_amounts.base_amount * cast(charges.percent * 0.01 as decimal(38, 6)), 2) as decimal(18, 2))
    end as plan_amount,
    plan_amount as unit_price,
    0 as estimated_quantity
from priced_charges as charges
inner join base_amounts
    using (contract_id, term_no, period, code)
where charges.model = 'percentage';

select contract_id, period, code, site_id, band, quantity, unit, unit_price, plan_amount
from lines
where model = 'percentage'
order by all;
