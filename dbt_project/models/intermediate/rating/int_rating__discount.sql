with charges as (

    select
        contract_id,
        term_no,
        period,
        plan_id,
        charge_code,
        charge_model,
        percent,
        max_amount,
        plan_minor_units
    from {{ ref('int_rating__segment_charges') }}
    where charge_model = 'discount' and (first_months is null or contract_month_no <= first_months)

),

bases as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        base_code,
        is_site_limited,
        site_id
    from {{ ref('int_rating__bases') }}

),

base_lines as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        amount
    from {{ ref('int_rating__base_lines') }}
    where classification != 'exception' and amount is not null
    union all
    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        amount
    from {{ ref('int_rating__percentage') }}

),

base_amounts as (

    select
        bases.contract_id,
        bases.term_no,
        bases.period,
        bases.charge_code,
        base_lines.site_id,
        cast(sum(base_lines.amount) as decimal(38, 2)) as base_amount
    from bases
    inner join base_lines
        on
            bases.contract_id = base_lines.contract_id
            and bases.term_no = base_lines.term_no
            and bases.period = base_lines.period
            and bases.base_code = base_lines.charge_code
            and (not bases.is_site_limited or bases.site_id = base_lines.site_id)
    group by bases.contract_id, bases.term_no, bases.period, bases.charge_code, base_lines.site_id

),

uncapped as (

    select
        charges.contract_id,
        charges.term_no,
        charges.period,
        charges.plan_id,
        charges.charge_code,
        charges.charge_model,
        charges.max_amount,
        charges.plan_minor_units,
        base_amounts.site_id,
        charges.contract_id || '/' || charges.period || '/' || charges.term_no || '/' || charges.charge_code || '/'
        || coalesce(base_amounts.site_id, '-') || '/-' as line_key,
        {{ to_minor_unit(
            exact_product('base_amounts.base_amount', 2, exact_product('charges.percent', 4, '0.01', 2), 6), 'charges.plan_minor_units'
        ) }} as discount
    from charges
    inner join base_amounts
        on
            charges.contract_id = base_amounts.contract_id
            and charges.term_no = base_amounts.term_no
            and charges.period = base_amounts.period
            and charges.charge_code = base_amounts.charge_code
    where base_amounts.base_amount > 0

),

-- The cap is the contract's for the period, shared by the segments of the plan, used up in bytewise order of line_key.
running as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        charge_model,
        site_id,
        discount,
        {{ to_minor_unit('max_amount', 'plan_minor_units') }} as max_amount,
        sum(discount) over (
            partition by contract_id, period, plan_id, charge_code
            order by line_key
            rows unbounded preceding
        ) as discount_so_far
    from uncapped

),

amounts as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        charge_model,
        site_id,
        cast(
            case
                when max_amount is null then -discount
                else least(discount_so_far - discount, max_amount) - least(discount_so_far, max_amount)
            end as decimal(18, 2)
        ) as amount
    from running

)

select
    contract_id,
    term_no,
    period,
    charge_code,
    charge_model,
    'variable' as classification,
    site_id,
    cast(null as string) as band,
    cast(null as string) as event_id,
    cast(1 as decimal(18, 6)) as quantity,
    'flat' as unit,
    cast(amount as decimal(38, 9)) as unit_price,
    amount,
    cast(0 as decimal(18, 6)) as estimated_quantity,
    cast(null as string) as problem,
    cast(null as bigint) as problem_count,
    cast(null as string) as problem_detail
from amounts
