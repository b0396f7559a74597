-- What charges on other charges are computed on: by charge and site the sum of the lines that it names, those that stand so far (a view:
-- a percentage may be a base in its turn).
create or replace view base_amounts as
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
    -- events that are billed alone are part of no base
    lines.classification != 'exception'
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
