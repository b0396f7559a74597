-- Step 40. Who pays a line and in which currency, which tax it bears, and on which statement it stands.
-- The payer is that of the best route (lowest priority) for contract, site and charge, else the term's. Tax is that of the rule with
-- most filled selectors that holds on the last day of the month. An amount in the plan's currency is converted by the rate of that day.
create or replace table addressed as
with places as (
    select contract_id, term_no, period, site_id, code from lines
    union
    -- credits follow the contract's last part of a month
    select contract_id, max(term_no), period, null, 'credit'
    from segments
    group by contract_id, period
),

routed as (
    select
        places.*,
        segments.plan_currency,
        last_day(cast(places.period || '-01' as date)) as last_of_month,
        coalesce(arg_min(routes.payer_id, routes.priority), segments.payer_id) as payer_id
    from places
    inner join segments
        using (contract_id, term_no, period)
    left join 'data/payer_routes.parquet' as routes
        on
            places.contract_id = routes.contract_id
            and (routes.site_id is null or routes.site_id = places.site_id)
            and (routes.charge_code is null or routes.charge_code = places.code)
    group by places.contract_id, places.term_no, places.period, places.site_id, places.code, segments.plan_currency, segments.payer_id
),

located as (
    select
        routed.*,
        payers.country,
        payers.currency,
        payers.minor_units,
        sites.tax_jurisdiction,
        routed.payer_id || '/' || routed.period || '/' || case payers.consolidation
            when 'by_region' then coalesce(sites.region, 'general')
            when 'by_site' then coalesce(routed.site_id, 'general')
            else 'all'
        end as statement_id
    from routed
    inner join 'data/payers.parquet' as payers
        on routed.payer_id = payers.payer_id
    left join 'data/sites.parquet' as sites
        on routed.site_id = sites.site_id
)

select
    located.*,
    case when located.plan_currency = located.currency then 1 else exchange_rates.rate end as fx_rate,
    rules.tax_code,
    rules.rate_percent as tax_rate_percent
from located
left join 'data/tax_rules.parquet' as rules
    on
        (rules.site_jurisdiction is null or rules.site_jurisdiction = located.tax_jurisdiction)
        and (rules.payer_country is null or rules.payer_country = located.country)
        and (rules.charge_code is null or rules.charge_code = located.code)
        and located.last_of_month >= rules.valid_from
        and (rules.valid_to is null or located.last_of_month < rules.valid_to)
left join exchange_rates
    on
        located.plan_currency = exchange_rates.base
        and located.currency = exchange_rates.quote
        and located.last_of_month >= exchange_rates.first_day
        and located.last_of_month < exchange_rates.day_after
qualify row_number() over (
    partition by located.contract_id, located.term_no, located.period, located.site_id, located.code
    order by
        (rules.site_jurisdiction is not null)::integer + (rules.payer_country is not null)::integer
        + (rules.charge_code is not null)::integer desc
) = 1;

create or replace table recomputed as
with not_owed as (
    -- a disputed line waits until that is decided, and is not owed if the dispute was upheld
    select subject as line_key
    from 'data/disputes.parquet'
    where scope = 'line' and state in ('open', 'upheld')
),

converted as (
    select
        lines.*,
        addressed.payer_id,
        addressed.currency,
        addressed.minor_units,
        addressed.tax_code,
        addressed.tax_rate_percent,
        case lines.classification
            when 'exception' then addressed.payer_id || '/' || lines.period || '/x-' || lines.event_id
            else addressed.statement_id
        end as statement_id,
        case addressed.minor_units
            when 0 then cast(round(lines.plan_amount * cast(addressed.fx_rate as decimal(38, 12)), 0) as decimal(18, 2))
            else cast(round(lines.plan_amount * cast(addressed.fx_rate as decimal(38, 12)), 2) as decimal(18, 2))
        end as amount,
        case
            when lines.unit = 'flat' and lines.quantity = 1 then cast(amount as decimal(38, 9))
            else cast(round(lines.unit_price * cast(addressed.fx_rate as decimal(38, 12)), 9) as decimal(38, 9))
        end as converted_unit_price
    from lines
    inner join addressed
        on
            lines.contract_id = addressed.contract_id
            and lines.term_no = addressed.term_no
            and lines.period = addressed.period
            and lines.site_id is not distinct from addressed.site_id
            and lines.code = addressed.code
)

select
    contract_id || '/' || period || '/' || term_no || '/' || code || '/'
    || coalesce(site_id, '-') || '/' || coalesce(band, '-') as line_key,
    statement_id,
    contract_id,
    term_no,
    period,
    code,
    model,
    site_id,
    payer_id,
    currency,
    quantity,
    unit,
    converted_unit_price as unit_price,
    amount,
    tax_code,
    tax_rate_percent,
    case minor_units
        when 0 then cast(round(amount * cast(tax_rate_percent * 0.01 as decimal(38, 6)), 0) as decimal(18, 2))
        else cast(round(amount * cast(tax_rate_percent * 0.01 as decimal(38, 6)), 2) as decimal(18, 2))
    end as tax_amount,
    estimated_quantity
from converted
-- A metered line of 0.00 shows usage; any other is no line. A line whose rate is missing is none either.
where
    amount is not null
    and line_key not in (from not_owed)
    and (
        model in ('per_unit', 'graduated', 'volume', 'package', 'stairstep', 'time_of_use', 'index', 'demand')
        or (plan_amount != 0 and amount != 0)
    );

select line_key, quantity, unit, unit_price, amount, currency, tax_code, tax_amount
from recomputed
order by line_key;
