-- Lines of charges that can be asked for: a disputed line waits until that is decided, and is not owed if the dispute is upheld.
with charge_lines as (

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
        event_id,
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
    from {{ ref('int_billing__charge_lines') }}
    where amount is not null

),

not_owed as (

    select line_key
    from {{ ref('int_billing__disputed_lines') }}
    where state in ('open', 'upheld')

)

select
    charge_lines.period,
    charge_lines.statement_id,
    charge_lines.statement_kind,
    charge_lines.payer_id,
    charge_lines.customer_id,
    charge_lines.contract_id,
    charge_lines.plan_id,
    charge_lines.plan_version,
    charge_lines.charge_code,
    charge_lines.charge_model,
    charge_lines.classification,
    charge_lines.site_id,
    charge_lines.region,
    charge_lines.band,
    charge_lines.event_id,
    charge_lines.description,
    charge_lines.quantity,
    charge_lines.unit,
    charge_lines.unit_price,
    charge_lines.amount,
    charge_lines.currency,
    charge_lines.tax_code,
    charge_lines.tax_rate_percent,
    charge_lines.tax_amount,
    charge_lines.estimated_quantity,
    charge_lines.line_key
from charge_lines
left join not_owed
    on charge_lines.line_key = not_owed.line_key
where not_owed.line_key is null
