-- package: as many packages of a size as hold the usage beyond what is included, a begun one counts whole.
insert into lines by name
with beyond as (
    select
        charges.*,
        used.site_id,
        used.pico - cast(coalesce(charges.included, 0) * 1000000000000 as hugeint) as beyond_pico,
        cast(charges.size * 1000000000000 as hugeint) as size_pico,
        cast((beyond_pico + size_pico - 1) // size_pico as decimal(38, 0)) as packages
    from priced_charges as charges
    inner join charge_usage as used
        on
            charges.contract_id = used.contract_id
            and charges.term_no = used.term_no
            and charges.period = used.period
            and charges.code = used.code
    where charges.model = 'package'
)

select
    contract_id,
    term_no,
    period,
    code,
    model,
    'variable' as classification,
    site_id,
    packages as quantity,
    'package' as unit,
    price as unit_price,
    case plan_minor_units
        when 0 then cast(round(packages * price, 0) as decimal(18, 2))
        else cast(round(packages * price, 2) as decimal(18, 2))
    end as plan_amount,
    0 as estimated_quantity
from beyond
where beyond_pico > 0;

select contract_id, period, code, site_id, band, quantity, unit, unit_price, plan_amount
from lines
where model = 'package'
order by all;
