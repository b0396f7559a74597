-- per_unit: usage × rate, a line per site. An amount is rounded once, half away from zero, to the currency's smallest unit; a
-- quantity is shown with 6 decimals.
insert into lines by name
select
    charges.contract_id,
    charges.term_no,
    charges.period,
    charges.code,
    charges.model,
    'variable' as classification,
    used.site_id,
    round(used.usage, 6) as quantity,
    charges.unit,
    charges.rate as unit_price,
    case charges.plan_minor_units
        when 0 then cast(round(used.usage * charges.rate, 0) as decimal(18, 2))
        else cast(round(used.usage * charges.rate, 2) as decimal(18, 2))
    end as plan_amount,
    round(used.estimated_usage, 6) as estimated_quantity
from priced_charges as charges
inner join charge_usage as used
    on
        charges.contract_id = used.contract_id
        and charges.term_no = used.term_no
        and charges.period = used.period
        and charges.code = used.code
where charges.model = 'per_unit';

select contract_id, period, code, site_id, band, quantity, unit, unit_price, plan_amount
from lines
where model = 'per_unit'
order by all;
