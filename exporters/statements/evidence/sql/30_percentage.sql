-- percentage: a percentage of the amounts of the charges that it names, a line per site.
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
