-- discount: a percentage off the charges that it names, a line per site whose sum is above zero; in the first months of the contract
-- only if it says so; up to a maximum per contract and month if it has one, used up in the order of the lines' keys.
insert into lines by name
with whole as (
    select
        charges.*,
        base_amounts.site_id,
        charges.contract_id || '/' || charges.period || '/' || charges.term_no || '/' || charges.code || '/'
        || coalesce(base_amounts.site_id, '-') || '/-' as line_key,
        case charges.plan_minor_units
            when 0 then cast(round(base_amounts.base_amount * cast(charges.percent * 0.01 as decimal(38, 6)), 0) as decimal(18, 2))
            else cast(round(base_amounts.base_amount * cast(charges.percent * 0.01 as decimal(38, 6)), 2) as decimal(18, 2))
        end as discount,
        case charges.plan_minor_units
            when 0 then cast(round(charges.max_amount, 0) as decimal(18, 2))
            else cast(round(charges.max_amount, 2) as decimal(18, 2))
        end as maximum
    from priced_charges as charges
    inner join base_amounts
        using (contract_id, term_no, period, code)
    where
        charges.model = 'discount'
        and base_amounts.base_amount > 0
        and (charges.first_months is null or charges.contract_month <= charges.first_months)
),

in_turn as (
    select
        *,
        sum(discount) over (partition by contract_id, period, plan_id, code order by line_key rows unbounded preceding) as so_far
    from whole
)

select
    contract_id,
    term_no,
    period,
    code,
    model,
    'variable' as classification,
    site_id,
    1 as quantity,
    'flat' as unit,
    cast(
        case
            when maximum is null then -discount
            else least(so_far - discount, maximum) - least(so_far, maximum)
        end as decimal(18, 2)
    ) as plan_amount,
    plan_amount as unit_price,
    0 as estimated_quantity
from in_turn;

select contract_id, period, code, site_id, band, quantity, unit, unit_price, plan_amount
from lines
where model = 'discount'
order by all;
