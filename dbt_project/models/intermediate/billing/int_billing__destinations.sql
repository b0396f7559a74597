with rated_lines as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        charge_code
    from {{ ref('int_rating__lines') }}

),

credits as (

    select contract_id
    from {{ source('book', 'credits') }}

),

segments as (

    select
        contract_id,
        term_no,
        period,
        payer_id,
        plan_currency
    from {{ ref('int_billing__segments') }}

),

payer_routes as (

    select
        contract_id,
        site_id,
        charge_code,
        payer_id,
        priority
    from {{ source('book', 'payer_routes') }}

),

payers as (

    select
        payer_id,
        country,
        currency,
        minor_units,
        consolidation
    from {{ source('book', 'payers') }}

),

sites as (

    select
        site_id,
        name,
        region,
        tax_jurisdiction
    from {{ source('book', 'sites') }}

),

tax_rules as (

    select
        site_jurisdiction,
        payer_country,
        charge_code,
        tax_code,
        rate_percent,
        valid_from,
        valid_to
    from {{ source('book', 'tax_rules') }}

),

fx_spans as (

    select
        base,
        quote,
        valid_from,
        valid_to,
        rate
    from {{ ref('int_rating__fx_spans') }}

),

-- Credits follow the contract's last segment of a period.
last_segments as (

    select
        contract_id,
        max(term_no) as term_no,
        period
    from segments
    group by contract_id, period

),

keys as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        charge_code
    from rated_lines
    union
    select
        last_segments.contract_id,
        last_segments.term_no,
        last_segments.period,
        cast(null as string) as site_id,
        'credit' as charge_code
    from last_segments
    inner join credits
        on last_segments.contract_id = credits.contract_id

),

routed as (

    select
        keys.contract_id,
        keys.term_no,
        keys.period,
        keys.site_id,
        keys.charge_code,
        segments.plan_currency,
        cast(last_day(cast(keys.period || '-01' as date)) as date) as last_day,
        coalesce(min_by(payer_routes.payer_id, payer_routes.priority), segments.payer_id) as payer_id
    from keys
    inner join segments
        on
            keys.contract_id = segments.contract_id
            and keys.term_no = segments.term_no
            and keys.period = segments.period
    left join payer_routes
        on
            keys.contract_id = payer_routes.contract_id
            and (payer_routes.site_id is null or keys.site_id = payer_routes.site_id)
            and (payer_routes.charge_code is null or keys.charge_code = payer_routes.charge_code)
    group by
        keys.contract_id,
        keys.term_no,
        keys.period,
        keys.site_id,
        keys.charge_code,
        segments.plan_currency,
        segments.payer_id

),

located as (

    select
        routed.contract_id,
        routed.term_no,
        routed.period,
        routed.site_id,
        routed.charge_code,
        routed.plan_currency,
        routed.last_day,
        routed.payer_id,
        payers.country as payer_country,
        payers.currency,
        payers.minor_units,
        sites.name as site_name,
        sites.region,
        sites.tax_jurisdiction,
        case payers.consolidation
            when 'by_region' then coalesce(sites.region, 'general')
            when 'by_site' then coalesce(routed.site_id, 'general')
            else 'all'
        end as statement_group
    from routed
    inner join payers
        on routed.payer_id = payers.payer_id
    left join sites
        on routed.site_id = sites.site_id

),

-- The rule with most filled selectors wins; a line without site matches only rules without jurisdiction.
taxed as (

    select
        located.contract_id,
        located.term_no,
        located.period,
        located.site_id,
        located.charge_code,
        max_by(
            {{ struct_of({'tax_code': 'tax_rules.tax_code', 'rate_percent': 'tax_rules.rate_percent'}) }},
            case when tax_rules.site_jurisdiction is null then 0 else 1 end
            + case when tax_rules.payer_country is null then 0 else 1 end
            + case when tax_rules.charge_code is null then 0 else 1 end
        ) as tax_rule
    from located
    inner join tax_rules
        on
            (tax_rules.site_jurisdiction is null or located.tax_jurisdiction = tax_rules.site_jurisdiction)
            and (tax_rules.payer_country is null or located.payer_country = tax_rules.payer_country)
            and (tax_rules.charge_code is null or located.charge_code = tax_rules.charge_code)
            and located.last_day >= tax_rules.valid_from
            and (tax_rules.valid_to is null or located.last_day < tax_rules.valid_to)
    group by located.contract_id, located.term_no, located.period, located.site_id, located.charge_code

)

select
    located.contract_id,
    located.term_no,
    located.period,
    located.site_id,
    located.charge_code,
    located.site_name,
    located.region,
    located.payer_id,
    located.currency,
    located.minor_units,
    located.statement_group,
    located.payer_id || '/' || located.period || '/' || located.statement_group as statement_id,
    located.plan_currency,
    located.last_day,
    case
        when located.plan_currency = located.currency then cast(1 as decimal(38, 12))
        else fx_spans.rate
    end as fx_rate,
    cast(taxed.tax_rule.tax_code as string) as tax_code,
    cast(taxed.tax_rule.rate_percent as decimal(9, 4)) as tax_rate_percent
from located
left join taxed
    on
        located.contract_id = taxed.contract_id
        and located.term_no = taxed.term_no
        and located.period = taxed.period
        and located.site_id is not distinct from taxed.site_id
        and located.charge_code is not distinct from taxed.charge_code
left join fx_spans
    on
        located.plan_currency = fx_spans.base
        and located.currency = fx_spans.quote
        and located.last_day >= fx_spans.valid_from
        and located.last_day < fx_spans.valid_to
