with statement_lines as (

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
        adjusts_period,
        cause
    from {{ ref('int_billing__statement_lines') }}

),

exceptions as (

    select
        period,
        payer_id,
        statement_id
    from {{ ref('int_billing__exceptions') }}
    where severity = 'blocking' and status != 'resolved'

),

payers as (

    select
        payer_id,
        currency
    from {{ source('book', 'payers') }}

),

-- The hash is over every column but book_version, as JSON text, one line a row, in bytewise order of line_key.
worded as (

    select
        period,
        statement_id,
        statement_kind,
        payer_id,
        currency,
        amount,
        tax_amount,
        line_key,
        cause,
        {{ json_list([
            'period',
            'statement_id',
            'statement_kind',
            'payer_id',
            'customer_id',
            'contract_id',
            'plan_id',
            'cast(plan_version as string)',
            'charge_code',
            'charge_model',
            'classification',
            'site_id',
            'region',
            'band',
            'description',
            'cast(quantity as string)',
            'unit',
            'cast(unit_price as string)',
            'cast(amount as string)',
            'currency',
            'tax_code',
            'cast(tax_rate_percent as string)',
            'cast(tax_amount as string)',
            'cast(estimated_quantity as string)',
            'line_key',
            'adjusts_period'
        ]) }} as line_text
    from statement_lines

),

with_lines as (

    select
        statement_id,
        min(period) as period,
        min(statement_kind) as statement_kind,
        min(payer_id) as payer_id,
        min(currency) as currency,
        count(*) as lines,
        sum(amount) as net,
        sum(coalesce(tax_amount, 0)) as tax,
        sha256({{ listed('line_text', '\n', 'line_key') }}) as content_hash,
        coalesce(bool_or(cause = 'code'), false) as has_code_adjustments
    from worded
    group by statement_id

),

-- A statement whose every line is held back by an exception is shown without lines, so that somebody sees it.
without_lines as (

    select
        exceptions.statement_id,
        split_part(exceptions.statement_id, '/', 2) as period,
        'consolidated' as statement_kind,
        min(exceptions.payer_id) as payer_id,
        min(payers.currency) as currency,
        0 as lines,
        0 as net,
        0 as tax,
        sha256('') as content_hash,
        false as has_code_adjustments
    from exceptions
    inner join payers
        on exceptions.payer_id = payers.payer_id
    left join with_lines
        on exceptions.statement_id = with_lines.statement_id
    where with_lines.statement_id is null
    group by exceptions.statement_id

)

select
    statement_id,
    period,
    case when contains(statement_id, '/x-') then 'exception' else statement_kind end as statement_kind,
    payer_id,
    currency,
    cast(lines as integer) as lines,
    cast(net as decimal(18, 2)) as net,
    cast(tax as decimal(18, 2)) as tax,
    cast(net + tax as decimal(18, 2)) as total,
    content_hash,
    has_code_adjustments
from with_lines
union all
select
    statement_id,
    period,
    case when contains(statement_id, '/x-') then 'exception' else statement_kind end as statement_kind,
    payer_id,
    currency,
    cast(lines as integer) as lines,
    cast(net as decimal(18, 2)) as net,
    cast(tax as decimal(18, 2)) as tax,
    cast(net + tax as decimal(18, 2)) as total,
    content_hash,
    has_code_adjustments
from without_lines
