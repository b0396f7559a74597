with rated_lines as (

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
    from {{ ref('int_billing__charge_lines') }}
    where amount is not null

),

charge_lines as (

    select
        line_key,
        amount,
        tax_code
    from {{ ref('int_billing__charge_lines') }}

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
        strftime(cast(max(issued_statements.period) || '-01' as date) + interval 1 month, '%Y-%m') as period
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
        and date_diff('month', cast(periods.period || '-01' as date), cast(open_period.period || '-01' as date))
        <= settings.adjustment_months

),

-- Lines that this build could not rate whole are told as exceptions, not taken back.
not_comparable as (

    select distinct line_key
    from charge_lines
    where line_key is not null and (amount is null or tax_code is null)

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

-- A line key has six parts; that of an adjustment has two before it and may have the payer behind it.
issued_by_key as (

    select
        coalesce(issued_lines.adjusts_period, issued_lines.period) as period,
        case
            when issued_lines.adjusts_period is null then issued_lines.line_key
            else array_to_string(string_split(issued_lines.line_key, '/')[3:8], '/')
        end as original_key,
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
        arg_max(customer_id, issued_no) as customer_id,
        arg_max(contract_id, issued_no) as contract_id,
        arg_max(plan_id, issued_no) as plan_id,
        arg_max(plan_version, issued_no) as plan_version,
        arg_max(charge_code, issued_no) as charge_code,
        arg_max(charge_model, issued_no) as charge_model,
        max_by(coalesce(site_id, ''), issued_no) as site_id,
        max_by(coalesce(region, ''), issued_no) as region,
        max_by(coalesce(band, ''), issued_no) as band,
        arg_max(unit, issued_no) as unit,
        arg_max(unit_price, issued_no) as unit_price,
        arg_max(tax_rate_percent, issued_no) as tax_rate_percent,
        arg_max(estimated_quantity, issued_no) as estimated_quantity,
        arg_max(book_version, issued_no) as book_version,
        arg_max(code_version, issued_no) as code_version,
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
        rated_lines.period,
        rated_lines.payer_id,
        rated_lines.customer_id,
        rated_lines.contract_id,
        rated_lines.plan_id,
        rated_lines.plan_version,
        rated_lines.charge_code,
        rated_lines.charge_model,
        rated_lines.site_id,
        rated_lines.region,
        rated_lines.band,
        rated_lines.quantity,
        rated_lines.unit,
        rated_lines.unit_price,
        rated_lines.amount,
        rated_lines.currency,
        rated_lines.tax_code,
        rated_lines.tax_rate_percent,
        rated_lines.tax_amount,
        rated_lines.estimated_quantity,
        rated_lines.line_key
    from rated_lines
    inner join adjustable_periods
        on rated_lines.period = adjustable_periods.period
    left join issued_keys
        on rated_lines.line_key = issued_keys.original_key
    left join issued_statements
        on rated_lines.statement_id = issued_statements.statement_id
    left join waiting
        on
            rated_lines.payer_id = waiting.payer_id
            and rated_lines.period = waiting.period
    where
        issued_keys.original_key is not null
        or issued_statements.statement_id is not null
        or waiting.payer_id is null

),

compared as (

    select
        coalesce(recomputed.line_key, balances.original_key) as original_key,
        coalesce(recomputed.period, balances.period) as period,
        coalesce(recomputed.payer_id, balances.payer_id) as payer_id,
        coalesce(recomputed.currency, balances.currency) as currency,
        coalesce(recomputed.tax_code, balances.tax_code) as tax_code,
        coalesce(recomputed.customer_id, balances.customer_id) as customer_id,
        coalesce(recomputed.contract_id, balances.contract_id) as contract_id,
        coalesce(recomputed.plan_id, balances.plan_id) as plan_id,
        coalesce(recomputed.plan_version, balances.plan_version) as plan_version,
        coalesce(recomputed.charge_code, balances.charge_code) as charge_code,
        coalesce(recomputed.charge_model, balances.charge_model) as charge_model,
        case when recomputed.line_key is not null then recomputed.site_id else nullif(balances.site_id, '') end as site_id,
        case when recomputed.line_key is not null then recomputed.region else nullif(balances.region, '') end as region,
        case when recomputed.line_key is not null then recomputed.band else nullif(balances.band, '') end as band,
        coalesce(recomputed.unit, balances.unit) as unit,
        coalesce(recomputed.unit_price, balances.unit_price) as unit_price,
        coalesce(recomputed.tax_rate_percent, balances.tax_rate_percent) as tax_rate_percent,
        coalesce(recomputed.estimated_quantity, balances.estimated_quantity) as estimated_quantity,
        coalesce(recomputed.quantity, 0) as new_quantity,
        coalesce(recomputed.amount, 0) as new_amount,
        coalesce(recomputed.tax_amount, 0) as new_tax_amount,
        coalesce(balances.quantity, 0) as old_quantity,
        coalesce(balances.amount, 0) as old_amount,
        coalesce(balances.tax_amount, 0) as old_tax_amount,
        recomputed.line_key is not null as is_charged_now,
        balances.book_version,
        balances.code_version,
        coalesce(balances.issued_no, 0) as issued_no
    from recomputed
    full outer join balances
        on
            recomputed.line_key = balances.original_key
            and recomputed.payer_id = balances.payer_id
            and recomputed.currency = balances.currency
            and recomputed.tax_code = balances.tax_code

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
        compared.issued_no
    from compared
    inner join adjustable_periods
        on compared.period = adjustable_periods.period
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
        row_number() over (partition by original_key order by is_charged_now, issued_no) as line_of_key
    from differences

)

select
    numbered.open_period as period,
    numbered.payer_id || '/' || numbered.open_period || '/'
    || case payers.consolidation
        when 'by_region' then coalesce(numbered.region, 'general')
        when 'by_site' then coalesce(numbered.site_id, 'general')
        else 'all'
    end as statement_id,
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
                {{ money_in_words('numbered.new_amount', 'numbered.currency', 'coalesce(payers.minor_units, 2)') }} || ' instead of '
                || {{ money_in_words('numbered.old_amount', 'numbered.currency', 'coalesce(payers.minor_units, 2)') }}
        else
            'tax of ' || {{ money_in_words('numbered.new_tax_amount', 'numbered.currency', 'coalesce(payers.minor_units, 2)') }}
            || ' instead of ' || {{ money_in_words('numbered.old_tax_amount', 'numbered.currency', 'coalesce(payers.minor_units, 2)') }}
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
    case
        when
            numbered.new_quantity != numbered.old_quantity
            and numbered.charge_model in ('per_unit', 'graduated', 'volume', 'package', 'time_of_use', 'index', 'demand')
            then 'readings'
        when numbered.book_version != book_info.book_version then 'book'
        when numbered.code_version != build_context.code_version then 'code'
        else 'readings'
    end as cause
from numbered
cross join book_info
cross join build_context
left join payers
    on numbered.payer_id = payers.payer_id
left join sites
    on numbered.site_id = sites.site_id
