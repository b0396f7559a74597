with owed_lines as (

    select
        period,
        statement_id,
        payer_id,
        customer_id,
        contract_id,
        plan_id,
        plan_version,
        charge_code,
        charge_model,
        site_id,
        region,
        band,
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

charge_lines as (

    select
        line_key,
        amount,
        tax_code
    from {{ ref('int_billing__charge_lines') }}

),

disputed_lines as (

    select
        line_key,
        state
    from {{ ref('int_billing__disputed_lines') }}

),

inputs as (

    select
        contract_id,
        period,
        book_digest,
        readings_digest
    from {{ ref('int_rating__inputs') }}

),

issued_inputs as (

    select
        statement_number,
        contract_id,
        period,
        book_digest,
        readings_digest
    from {{ source('ledger', 'issued_inputs') }}

),

issued_statements as (

    select
        statement_number,
        statement_id,
        period,
        book_version,
        code_version,
        issued_at
    from {{ source('ledger', 'issued_statements') }}

),

issued_lines as (

    select
        statement_number,
        line_no,
        period,
        payer_id,
        customer_id,
        contract_id,
        plan_id,
        plan_version,
        charge_code,
        charge_model,
        site_id,
        region,
        band,
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
        adjusts_period
    from {{ source('ledger', 'issued_lines') }}
    where charge_code != 'credit'

),

waiting as (

    select
        payer_id,
        period
    from {{ ref('int_billing__waiting') }}

),

segments as (

    select
        contract_id,
        period,
        plan_id,
        plan_version
    from {{ ref('int_billing__segments') }}

),

periods as (

    select distinct period
    from {{ ref('int_billing__periods') }}

),

plan_versions as (

    select
        plan_id,
        version,
        adjust
    from {{ source('book', 'plan_versions') }}

),

payers as (

    select
        payer_id,
        consolidation,
        minor_units
    from {{ source('book', 'payers') }}

),

sites as (

    select
        site_id,
        name
    from {{ source('book', 'sites') }}

),

settings as (

    select adjustment_months
    from {{ source('book', 'settings') }}

),

book_info as (

    select book_version
    from {{ source('book', 'book_info') }}

),

build_context as (

    select code_version
    from {{ source('context', 'build_context') }}

),

-- The open period is the month after the last one issued for anybody.
open_period as (

    select
        max(issued_statements.period) as last_period,
        {{ month_of(months_later("cast(max(issued_statements.period) || '-01' as date)", 1)) }} as period
    from issued_statements

),

adjustable_periods as (

    select
        periods.period,
        open_period.period as open_period
    from periods
    cross join open_period
    cross join settings
    where
        periods.period <= open_period.last_period
        and {{ months_apart('periods.period', 'open_period.period') }}
        <= settings.adjustment_months

),

-- Lines that this build could not rate whole are told as exceptions, not taken back; disputed ones wait until that is decided.
not_comparable as (

    select line_key
    from charge_lines
    where line_key is not null and (amount is null or tax_code is null)
    union
    select {{ original_key('line_key') }} as line_key
    from disputed_lines
    where state = 'open'

),

kept_as_issued as (

    select distinct
        segments.contract_id,
        segments.period
    from segments
    inner join plan_versions
        on
            segments.plan_id = plan_versions.plan_id
            and segments.plan_version = plan_versions.version
    where not plan_versions.adjust

),

issued_by_key as (

    select
        coalesce(issued_lines.adjusts_period, issued_lines.period) as period,
        {{ original_key('issued_lines.line_key') }} as original_key,
        issued_lines.payer_id,
        issued_lines.customer_id,
        issued_lines.contract_id,
        issued_lines.plan_id,
        issued_lines.plan_version,
        issued_lines.charge_code,
        issued_lines.charge_model,
        issued_lines.site_id,
        issued_lines.region,
        issued_lines.band,
        issued_lines.quantity,
        issued_lines.unit,
        issued_lines.unit_price,
        issued_lines.amount,
        issued_lines.currency,
        issued_lines.tax_code,
        issued_lines.tax_rate_percent,
        issued_lines.tax_amount,
        issued_lines.estimated_quantity,
        issued_statements.book_version,
        issued_statements.code_version,
        row_number() over (order by issued_statements.issued_at, issued_lines.statement_number, issued_lines.line_no) as issued_no
    from issued_lines
    inner join issued_statements
        on issued_lines.statement_number = issued_statements.statement_number

),

balances as (

    select
        original_key,
        payer_id,
        currency,
        tax_code,
        min(period) as period,
        sum(quantity) as quantity,
        sum(amount) as amount,
        sum(coalesce(tax_amount, 0)) as tax_amount,
        max(issued_no) as issued_no
    from issued_by_key
    group by original_key, payer_id, currency, tax_code

),

issued_keys as (

    select distinct original_key
    from balances

),

-- What has been issued is compared; what has not, too, unless a statement of its payer and period still waits and takes it.
recomputed as (

    select
        owed_lines.period,
        owed_lines.payer_id,
        owed_lines.customer_id,
        owed_lines.contract_id,
        owed_lines.plan_id,
        owed_lines.plan_version,
        owed_lines.charge_code,
        owed_lines.charge_model,
        owed_lines.site_id,
        owed_lines.region,
        owed_lines.band,
        owed_lines.quantity,
        owed_lines.unit,
        owed_lines.unit_price,
        owed_lines.amount,
        owed_lines.currency,
        owed_lines.tax_code,
        owed_lines.tax_rate_percent,
        owed_lines.tax_amount,
        owed_lines.estimated_quantity,
        owed_lines.line_key
    from owed_lines
    inner join adjustable_periods
        on owed_lines.period = adjustable_periods.period
    left join issued_keys
        on owed_lines.line_key = issued_keys.original_key
    left join issued_statements
        on owed_lines.statement_id = issued_statements.statement_id
    left join waiting
        on
            owed_lines.payer_id = waiting.payer_id
            and owed_lines.period = waiting.period
    where
        issued_keys.original_key is not null
        or issued_statements.statement_id is not null
        or waiting.payer_id is null

),

-- What vanished, and what is taken back, has the columns of the line under the key that was issued last.
compared as (

    select
        coalesce(recomputed.line_key, balances.original_key) as original_key,
        coalesce(recomputed.period, balances.period) as period,
        coalesce(recomputed.payer_id, balances.payer_id) as payer_id,
        coalesce(recomputed.currency, balances.currency) as currency,
        coalesce(recomputed.tax_code, balances.tax_code) as tax_code,
        {% for column in [
            'customer_id', 'contract_id', 'plan_id', 'plan_version', 'charge_code', 'charge_model', 'site_id', 'region', 'band', 'unit', 'unit_price',
            'tax_rate_percent', 'estimated_quantity'
        ] -%}
            case when recomputed.line_key is not null then recomputed.{{ column }} else last_issued.{{ column }} end as {{ column }},
        {% endfor -%}
        coalesce(recomputed.quantity, 0) as new_quantity,
        coalesce(recomputed.amount, 0) as new_amount,
        coalesce(recomputed.tax_amount, 0) as new_tax_amount,
        coalesce(balances.quantity, 0) as old_quantity,
        coalesce(balances.amount, 0) as old_amount,
        coalesce(balances.tax_amount, 0) as old_tax_amount,
        recomputed.line_key is not null as is_charged_now,
        last_issued.book_version,
        last_issued.code_version,
        coalesce(balances.issued_no, 0) as issued_no
    from recomputed
    full outer join balances
        on
            recomputed.line_key = balances.original_key
            and recomputed.payer_id = balances.payer_id
            and recomputed.currency = balances.currency
            and recomputed.tax_code = balances.tax_code
    left join issued_by_key as last_issued
        on balances.issued_no = last_issued.issued_no

),

differences as (

    select
        compared.original_key,
        compared.period,
        adjustable_periods.open_period,
        compared.payer_id,
        compared.currency,
        compared.tax_code,
        compared.customer_id,
        compared.contract_id,
        compared.plan_id,
        compared.plan_version,
        compared.charge_code,
        compared.charge_model,
        compared.site_id,
        compared.region,
        compared.band,
        compared.unit,
        compared.unit_price,
        compared.tax_rate_percent,
        compared.estimated_quantity,
        compared.new_quantity,
        compared.new_amount,
        compared.new_tax_amount,
        compared.old_quantity,
        compared.old_amount,
        compared.old_tax_amount,
        compared.is_charged_now,
        compared.book_version,
        compared.code_version,
        compared.issued_no,
        case payers.consolidation
            when 'by_region' then coalesce(compared.region, 'general')
            when 'by_site' then coalesce(compared.site_id, 'general')
            else 'all'
        end as statement_group,
        coalesce(payers.minor_units, 2) as minor_units
    from compared
    inner join adjustable_periods
        on compared.period = adjustable_periods.period
    left join payers
        on compared.payer_id = payers.payer_id
    left join not_comparable
        on compared.original_key = not_comparable.line_key
    left join kept_as_issued
        on
            compared.contract_id = kept_as_issued.contract_id
            and compared.period = kept_as_issued.period
    where
        not_comparable.line_key is null
        and kept_as_issued.contract_id is null
        and (compared.new_amount != compared.old_amount or compared.new_tax_amount != compared.old_tax_amount)

),

-- Where payer, currency or tax code changed, the old is taken back under the plain key, the new charged under one that ends in the payer.
numbered as (

    select
        original_key,
        period,
        open_period,
        payer_id,
        currency,
        tax_code,
        customer_id,
        contract_id,
        plan_id,
        plan_version,
        charge_code,
        charge_model,
        site_id,
        region,
        band,
        unit,
        unit_price,
        tax_rate_percent,
        estimated_quantity,
        new_quantity,
        new_amount,
        new_tax_amount,
        old_quantity,
        old_amount,
        old_tax_amount,
        book_version,
        code_version,
        issued_no,
        statement_group,
        minor_units,
        row_number() over (partition by original_key order by is_charged_now, issued_no) as line_of_key
    from differences

),

notes as (

    select
        numbered.original_key,
        numbered.line_of_key,
        issued_inputs.book_digest,
        issued_inputs.readings_digest,
        issued_statements.code_version,
        issued_statements.issued_at,
        issued_statements.statement_number,
        issued_statements.statement_id
        = numbered.payer_id || '/' || issued_statements.period || '/' || numbered.statement_group as is_own
    from numbered
    inner join issued_inputs
        on
            numbered.contract_id = issued_inputs.contract_id
            and numbered.period = issued_inputs.period
    inner join issued_statements
        on issued_inputs.statement_number = issued_statements.statement_number

),

-- What the payer's last statement of the group took account of; where none of them had lines of the contract, what its month was first
-- issued from, for what others were told since was not told here.
noted as (

    select
        original_key,
        line_of_key,
        book_digest,
        readings_digest,
        code_version
    from notes
    qualify row_number() over (
        partition by original_key, line_of_key
        order by
            is_own desc,
            case when is_own then issued_at end desc,
            case when is_own then statement_number end desc,
            issued_at asc,
            statement_number asc
    ) = 1

),

-- Where nothing was noted, the versions are all there is to go by.
caused as (

    select
        numbered.original_key,
        numbered.line_of_key,
        case
            when disputed_lines.state = 'upheld' or (disputed_lines.state = 'rejected' and numbered.issued_no = 0) then 'dispute'
            when noted.original_key is null and numbered.code_version != build_context.code_version then 'code'
            when noted.original_key is null and numbered.book_version != book_info.book_version then 'book'
            when noted.original_key is null then 'readings'
            when coalesce(noted.book_digest != inputs.book_digest, true) then 'book'
            when coalesce(noted.readings_digest != inputs.readings_digest, true) then 'readings'
            when noted.code_version != build_context.code_version then 'code'
            else 'readings'
        end as cause
    from numbered
    cross join book_info
    cross join build_context
    left join noted
        on
            numbered.original_key = noted.original_key
            and numbered.line_of_key = noted.line_of_key
    left join inputs
        on
            numbered.contract_id = inputs.contract_id
            and numbered.period = inputs.period
    left join disputed_lines
        on numbered.original_key = disputed_lines.line_key

)

select
    numbered.open_period as period,
    numbered.payer_id || '/' || numbered.open_period || '/' || numbered.statement_group as statement_id,
    'consolidated' as statement_kind,
    numbered.payer_id,
    numbered.customer_id,
    numbered.contract_id,
    numbered.plan_id,
    numbered.plan_version,
    numbered.charge_code,
    numbered.charge_model,
    'adjustment' as classification,
    numbered.site_id,
    numbered.region,
    numbered.band,
    {{ month_in_words('numbered.period') }} || ' ' || numbered.charge_code
    || coalesce(' at ' || coalesce(sites.name, numbered.site_id) || ' (' || numbered.site_id || ')', '')
    || coalesce(', ' || numbered.band, '') || ': '
    || case
        when numbered.new_quantity != numbered.old_quantity and numbered.unit != 'flat'
            then
                {{ number_in_words('numbered.new_quantity') }} || ' ' || numbered.unit || ' instead of '
                || {{ number_in_words('numbered.old_quantity') }} || ' ' || numbered.unit
        when numbered.new_amount != numbered.old_amount
            then
                {{ money_in_words('numbered.new_amount', 'numbered.currency', 'numbered.minor_units') }} || ' instead of '
                || {{ money_in_words('numbered.old_amount', 'numbered.currency', 'numbered.minor_units') }}
        else
            'tax of ' || {{ money_in_words('numbered.new_tax_amount', 'numbered.currency', 'numbered.minor_units') }}
            || ' instead of ' || {{ money_in_words('numbered.old_tax_amount', 'numbered.currency', 'numbered.minor_units') }}
    end as description,
    cast(numbered.new_quantity - numbered.old_quantity as decimal(18, 6)) as quantity,
    numbered.unit,
    cast(numbered.unit_price as decimal(38, 9)) as unit_price,
    cast(numbered.new_amount - numbered.old_amount as decimal(18, 2)) as amount,
    numbered.currency,
    numbered.tax_code,
    numbered.tax_rate_percent,
    cast(numbered.new_tax_amount - numbered.old_tax_amount as decimal(18, 2)) as tax_amount,
    numbered.estimated_quantity,
    'adj/' || numbered.open_period || '/' || numbered.original_key
    || case when numbered.line_of_key > 1 then '/' || numbered.payer_id else '' end as line_key,
    book_info.book_version,
    numbered.period as adjusts_period,
    caused.cause
from numbered
inner join caused
    on
        numbered.original_key = caused.original_key
        and numbered.line_of_key = caused.line_of_key
cross join book_info
left join sites
    on numbered.site_id = sites.site_id
