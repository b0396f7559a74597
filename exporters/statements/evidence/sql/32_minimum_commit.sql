-- minimum_commit: what the charges that it names fall short of the commitment, which counts in proportion to the contract's part of
-- the month.
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
