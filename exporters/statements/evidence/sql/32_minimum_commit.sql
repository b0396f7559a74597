-- minimum_commit: what the charges that it names fall short of the commitment, which counts in proportion to the contract's part of
-- the month.
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
    charges.model = 'minimum_commit'
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
with commitments as (
    select
        charges.*,
        case charges.plan_minor_units
            when 0
                then cast(
                    (2 * cast(charges.amount * 1000000000 as hugeint) * charges.segment_us + charges.month_us * 1000000000::hugeint)
                    // (2 * charges.month_us * 1000000000::hugeint) as decimal(18, 2)
                )
            else
                cast(
                    (2 * cast(charges.amount * 1000000000 as hugeint) * charges.segment_us + charges.month_us * 10000000::hugeint)
                    // (2 * charges.month_us * 10000000::hugeint) as decimal(38, 0)
                ) * 0.01
        end as commitment
    from priced_charges as charges
    where charges.model = 'minimum_commit'
),

shortfalls as (
    select
        commitments.*,
        cast(
            commitments.commitment - coalesce(
                (
                    select sum(base_amounts.base_amount) from base_amounts
                    where
                        base_amounts.contract_id = commitments.contract_id
                        and base_amounts.term_no = commitments.term_no
                        and base_amounts.period = commitments.period
                        and base_amounts.code = commitments.code
                ), 0
            ) as decimal(18, 2)
        ) as plan_amount
    from commitments
)

select
    contract_id,
    term_no,
    period,
    code,
    model,
    'variable' as classification,
    1 as quantity,
    'flat' as unit,
    plan_amount,
    plan_amount as unit_price,
    0 as estimated_quantity
from shortfalls
where plan_amount > 0;

select contract_id, period, code, site_id, band, quantity, unit, unit_price, plan_amount
from lines
where model = 'minimum_commit'
order by all;
