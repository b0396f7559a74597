with charges as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        charge_model,
        {{ share_of_money('amount', 'segment_us', 'period_us', 'plan_minor_units') }} as commitment
    from {{ ref('int_rating__segment_charges') }}
    where charge_model = 'minimum_commit'

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
    union all
    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        amount
    from {{ ref('int_rating__discount') }}

),

base_amounts as (

    select
        bases.contract_id,
        bases.term_no,
        bases.period,
        bases.charge_code,
        sum(base_lines.amount) as base_amount
    from bases
    inner join base_lines
        on
            bases.contract_id = base_lines.contract_id
            and bases.term_no = base_lines.term_no
            and bases.period = base_lines.period
            and bases.base_code = base_lines.charge_code
            and (not bases.is_site_limited or bases.site_id = base_lines.site_id)
    group by bases.contract_id, bases.term_no, bases.period, bases.charge_code

),

shortfalls as (

    select
        charges.contract_id,
        charges.term_no,
        charges.period,
        charges.charge_code,
        charges.charge_model,
        cast(charges.commitment - coalesce(base_amounts.base_amount, 0) as decimal(18, 2)) as amount
    from charges
    left join base_amounts
        on
            charges.contract_id = base_amounts.contract_id
            and charges.term_no = base_amounts.term_no
            and charges.period = base_amounts.period
            and charges.charge_code = base_amounts.charge_code

)

select
    contract_id,
    term_no,
    period,
    charge_code,
    charge_model,
    'variable' as classification,
    cast(null as string) as site_id,
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
from shortfalls
where amount > 0
