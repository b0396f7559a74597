with rated_lines as (

    select
        period,
        statement_id,
        statement_kind,
        payer_id,
        customer_id,
        contract_id,
        plan_id,
        plan_version,
        charge_code,
        charge_model,
        classification,
        site_id,
        region,
        band,
        description,
        quantity,
        unit,
        unit_price,
        amount,
        currency,
        tax_code,
        tax_rate_percent,
        tax_amount,
        estimated_quantity,
        line_key,
        book_version
    from {{ ref('int_billing__rated_lines') }}

),

issued_statements as (

    select
        statement_id,
        statement_number,
        period
    from {{ source('ledger', 'issued_statements') }}

),

issued_lines as (

    select
        statement_number,
        period,
        statement_id,
        statement_kind,
        payer_id,
        customer_id,
        contract_id,
        plan_id,
        plan_version,
        charge_code,
        charge_model,
        classification,
        site_id,
        region,
        band,
        description,
        quantity,
        unit,
        unit_price,
        amount,
        currency,
        tax_code,
        tax_rate_percent,
        tax_amount,
        estimated_quantity,
        line_key,
        book_version,
        adjusts_period,
        cause
    from {{ source('ledger', 'issued_lines') }}

),

-- Issued under its own key or as an adjustment.
issued_keys as (

    select distinct {{ original_key('line_key') }} as line_key
    from issued_lines

),

waiting as (

    select
        payer_id,
        period
    from {{ ref('int_billing__waiting') }}

),

adjustments as (

    select
        period,
        statement_id,
        statement_kind,
        payer_id,
        customer_id,
        contract_id,
        plan_id,
        plan_version,
        charge_code,
        charge_model,
        classification,
        site_id,
        region,
        band,
        description,
        quantity,
        unit,
        unit_price,
        amount,
        currency,
        tax_code,
        tax_rate_percent,
        tax_amount,
        estimated_quantity,
        line_key,
        book_version,
        adjusts_period,
        cause
    from {{ ref('int_billing__adjustments') }}

),

-- Issued lines are what the ledger froze; what this build makes of them is kept in int_billing__rated_lines only.
issued as (

    select
        issued_lines.period,
        issued_lines.statement_id,
        issued_lines.statement_kind,
        issued_lines.payer_id,
        issued_lines.customer_id,
        issued_lines.contract_id,
        issued_lines.plan_id,
        issued_lines.plan_version,
        issued_lines.charge_code,
        issued_lines.charge_model,
        issued_lines.classification,
        issued_lines.site_id,
        issued_lines.region,
        issued_lines.band,
        issued_lines.description,
        issued_lines.quantity,
        issued_lines.unit,
        issued_lines.unit_price,
        issued_lines.amount,
        issued_lines.currency,
        issued_lines.tax_code,
        issued_lines.tax_rate_percent,
        issued_lines.tax_amount,
        issued_lines.estimated_quantity,
        issued_lines.line_key,
        issued_lines.book_version,
        issued_lines.adjusts_period,
        issued_lines.cause
    from issued_lines
    inner join issued_statements
        on issued_lines.statement_number = issued_statements.statement_number

),

-- A line stands on its own statement as long as that can still be issued; after that it is an adjustment.
not_issued as (

    select
        rated_lines.period,
        rated_lines.statement_id,
        rated_lines.statement_kind,
        rated_lines.payer_id,
        rated_lines.customer_id,
        rated_lines.contract_id,
        rated_lines.plan_id,
        rated_lines.plan_version,
        rated_lines.charge_code,
        rated_lines.charge_model,
        rated_lines.classification,
        rated_lines.site_id,
        rated_lines.region,
        rated_lines.band,
        rated_lines.description,
        rated_lines.quantity,
        rated_lines.unit,
        rated_lines.unit_price,
        rated_lines.amount,
        rated_lines.currency,
        rated_lines.tax_code,
        rated_lines.tax_rate_percent,
        rated_lines.tax_amount,
        rated_lines.estimated_quantity,
        rated_lines.line_key,
        rated_lines.book_version,
        cast(null as string) as adjusts_period,
        cast(null as string) as cause
    from rated_lines
    left join issued_statements
        on rated_lines.statement_id = issued_statements.statement_id
    left join issued_keys
        on rated_lines.line_key = issued_keys.line_key
    left join waiting
        on
            rated_lines.payer_id = waiting.payer_id
            and rated_lines.period = waiting.period
    where
        issued_statements.statement_id is null
        and issued_keys.line_key is null
        and (rated_lines.charge_code = 'credit' or waiting.payer_id is not null)

)

select
    period,
    statement_id,
    statement_kind,
    payer_id,
    customer_id,
    contract_id,
    plan_id,
    plan_version,
    charge_code,
    charge_model,
    classification,
    site_id,
    region,
    band,
    description,
    quantity,
    unit,
    unit_price,
    amount,
    currency,
    tax_code,
    tax_rate_percent,
    tax_amount,
    estimated_quantity,
    line_key,
    book_version,
    adjusts_period,
    cause,
    true as is_issued
from issued
union all
select
    period,
    statement_id,
    statement_kind,
    payer_id,
    customer_id,
    contract_id,
    plan_id,
    plan_version,
    charge_code,
    charge_model,
    classification,
    site_id,
    region,
    band,
    description,
    quantity,
    unit,
    unit_price,
    amount,
    currency,
    tax_code,
    tax_rate_percent,
    tax_amount,
    estimated_quantity,
    line_key,
    book_version,
    adjusts_period,
    cause,
    false as is_issued
from not_issued
union all
select
    period,
    statement_id,
    statement_kind,
    payer_id,
    customer_id,
    contract_id,
    plan_id,
    plan_version,
    charge_code,
    charge_model,
    classification,
    site_id,
    region,
    band,
    description,
    quantity,
    unit,
    unit_price,
    amount,
    currency,
    tax_code,
    tax_rate_percent,
    tax_amount,
    estimated_quantity,
    line_key,
    book_version,
    adjusts_period,
    cause,
    false as is_issued
from adjustments
