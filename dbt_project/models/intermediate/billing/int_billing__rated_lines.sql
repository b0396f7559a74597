with owed_lines as (

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
        line_key
    from {{ ref('int_billing__owed_lines') }}

),

credit_lines as (

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
        line_key
    from {{ ref('int_billing__credit_lines') }}
    where amount is not null

),

book_info as (

    select book_version
    from {{ source('book', 'book_info') }}

),

lines as (

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
        line_key
    from owed_lines
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
        line_key
    from credit_lines

)

select
    lines.period,
    lines.statement_id,
    lines.statement_kind,
    lines.payer_id,
    lines.customer_id,
    lines.contract_id,
    lines.plan_id,
    lines.plan_version,
    lines.charge_code,
    lines.charge_model,
    lines.classification,
    lines.site_id,
    lines.region,
    lines.band,
    lines.description,
    lines.quantity,
    lines.unit,
    lines.unit_price,
    lines.amount,
    lines.currency,
    lines.tax_code,
    lines.tax_rate_percent,
    lines.tax_amount,
    lines.estimated_quantity,
    lines.line_key,
    book_info.book_version
from lines
cross join book_info
