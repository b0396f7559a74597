with rated_lines as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        charge_model,
        site_id,
        band,
        quantity,
        unit_price,
        amount,
        contract_id || '/' || period || '/' || term_no || '/' || charge_code || '/'
        || coalesce(site_id, '-') || '/' || coalesce(band, '-') as line_key
    from {{ ref('int_rating__lines') }}
    where amount is not null

),

charge_lines as (

    select
        line_key,
        payer_id,
        amount,
        currency,
        tax_amount
    from {{ ref('int_billing__charge_lines') }}
    where amount is not null

),

charges as (

    select
        contract_id,
        term_no,
        period,
        plan_id,
        plan_version,
        plan_currency,
        plan_minor_units,
        charge_code,
        case charge_model when 'index' then 'energy' when 'demand' then 'energy' else metric end as metric,
        unit,
        per,
        amount,
        prorate,
        size,
        included,
        calendar_id,
        index_id,
        window_minutes,
        percent,
        bill_while_suspended,
        segment_us,
        period_us
    from {{ ref('int_rating__segment_charges') }}

),

-- While a contract, or what it has at a site, is paused as a whole.
paused as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        paused_us
    from {{ ref('int_rating__paused') }}
    where machine_id is null

),

destinations as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        charge_code,
        fx_rate
    from {{ ref('int_billing__destinations') }}

),

segments as (

    select
        contract_id,
        term_no,
        period,
        billing_timezone,
        segment_start,
        segment_end
    from {{ ref('int_billing__segments') }}

),

site_usage as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        usage
    from {{ ref('int_rating__site_usage') }}

),

line_machines as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        quantity,
        occupied_us
    from {{ ref('int_rating__line_machines') }}
    where band is null

),

line_days as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        band,
        quantity,
        exact_amount,
        peak_start,
        peak_quantity
    from {{ ref('int_rating__line_days') }}

),

line_bases as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        amount
    from {{ ref('int_rating__line_bases') }}

),

tiers as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        cast(tier_no as string) as band,
        from_quantity,
        up_to
    from {{ ref('int_rating__tiers') }}

),

units as (

    select
        unit,
        numerator,
        denominator
    from {{ ref('int_rating__units') }}

),

scopes as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        sum(usage) as usage
    from site_usage
    group by contract_id, term_no, period, charge_code

),

machine_totals as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        sum(quantity) as quantity,
        count(*) as machines,
        sum(occupied_us) as occupied_us
    from line_machines
    group by contract_id, term_no, period, charge_code, site_id

),

day_totals as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        band,
        sum(quantity) as quantity,
        case when count(*) = count(exact_amount) then sum(exact_amount) end as exact_amount,
        max_by(peak_start, (peak_quantity, -{{ us('peak_start') }})) as peak_start,
        max(peak_quantity) as peak_quantity
    from line_days
    group by contract_id, term_no, period, charge_code, site_id, band

),

base_totals as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        sum(amount) as amount
    from line_bases
    group by contract_id, term_no, period, charge_code, site_id

)

select
    rated_lines.period,
    rated_lines.contract_id,
    cast(rated_lines.term_no as integer) as term_no,
    rated_lines.charge_code,
    rated_lines.charge_model,
    rated_lines.site_id,
    rated_lines.band,
    rated_lines.line_key,
    segments.billing_timezone,
    segments.segment_start,
    segments.segment_end,
    charges.plan_id,
    cast(charges.plan_version as integer) as plan_version,
    charges.metric,
    charges.unit as charge_unit,
    charges.per,
    charges.calendar_id,
    charges.index_id,
    cast(charges.window_minutes as integer) as window_minutes,
    cast(rated_lines.quantity as decimal(18, 6)) as quantity,
    cast(rated_lines.unit_price as decimal(18, 9)) as plan_unit_price,
    cast(rated_lines.amount as decimal(18, 2)) as plan_amount,
    charges.plan_currency,
    cast(charges.plan_minor_units as integer) as plan_minor_units,
    cast(destinations.fx_rate as decimal(38, 12)) as fx_rate,
    charge_lines.payer_id,
    cast(charge_lines.amount as decimal(18, 2)) as amount,
    charge_lines.currency,
    cast(charge_lines.tax_amount as decimal(18, 2)) as tax_amount,
    -- What the machines at the site used; of all bands.
    cast(machine_totals.quantity as decimal(38, 9)) as site_quantity,
    cast(case rated_lines.charge_model when 'time_of_use' then day_totals.quantity else machine_totals.quantity end as decimal(38, 9))
        as line_quantity,
    cast(
        case rated_lines.charge_model
            when 'time_of_use'
                then {{ divide_round(exact_product('day_totals.quantity', 9, 'units.numerator', 0), 9, 'units.denominator', 0, 12) }}
            else site_usage.usage
        end as decimal(38, 12)
    ) as usage,
    cast(case when charges.per = 'contract' then scopes.usage end as decimal(38, 12)) as contract_usage,
    cast(tiers.from_quantity as decimal(38, 12)) as tier_from,
    cast(tiers.up_to as decimal(38, 12)) as tier_up_to,
    cast(case rated_lines.charge_model when 'package' then charges.size end as decimal(24, 9)) as package_size,
    cast(case rated_lines.charge_model when 'package' then coalesce(charges.included, 0) end as decimal(24, 9)) as included,
    cast(day_totals.exact_amount as decimal(38, 25)) as exact_amount,
    day_totals.peak_start,
    cast(day_totals.peak_quantity as decimal(38, 9)) as peak_quantity,
    charges.prorate,
    cast(machine_totals.machines as bigint) as machines,
    cast(
        case
            when rated_lines.charge_model != 'recurring' then null
            when charges.prorate = 'none' and charges.per = 'machine' then machine_totals.machines
            when charges.prorate = 'none' then 1
            when charges.per = 'machine' then machine_totals.occupied_us
            when charges.bill_while_suspended then charges.segment_us
            else charges.segment_us - coalesce(paused.paused_us, 0)
        end as bigint
    ) as part,
    cast(
        case
            when rated_lines.charge_model not in ('recurring', 'minimum_commit') then null
            when rated_lines.charge_model = 'recurring' and charges.prorate = 'none' then 1
            else charges.period_us
        end as bigint
    ) as whole,
    cast(case when rated_lines.charge_model in ('percentage', 'discount') then charges.percent end as decimal(18, 4)) as percent,
    cast(
        case when rated_lines.charge_model in ('percentage', 'discount', 'minimum_commit') then coalesce(base_totals.amount, 0) end
        as decimal(18, 2)
    ) as base_amount,
    cast(
        case
            when rated_lines.charge_model = 'minimum_commit'
                then {{ share_of_money('charges.amount', 'charges.segment_us', 'charges.period_us', 'charges.plan_minor_units') }}
        end as decimal(18, 2)
    ) as commitment
from rated_lines
inner join charges
    on
        rated_lines.contract_id = charges.contract_id
        and rated_lines.term_no = charges.term_no
        and rated_lines.period = charges.period
        and rated_lines.charge_code = charges.charge_code
inner join segments
    on
        rated_lines.contract_id = segments.contract_id
        and rated_lines.term_no = segments.term_no
        and rated_lines.period = segments.period
left join charge_lines
    on rated_lines.line_key = charge_lines.line_key
left join destinations
    on
        rated_lines.contract_id = destinations.contract_id
        and rated_lines.term_no = destinations.term_no
        and rated_lines.period = destinations.period
        and rated_lines.site_id is not distinct from destinations.site_id
        and rated_lines.charge_code = destinations.charge_code
left join paused
    on
        rated_lines.contract_id = paused.contract_id
        and rated_lines.term_no = paused.term_no
        and rated_lines.period = paused.period
        and rated_lines.site_id is not distinct from paused.site_id
left join site_usage
    on
        rated_lines.contract_id = site_usage.contract_id
        and rated_lines.term_no = site_usage.term_no
        and rated_lines.period = site_usage.period
        and rated_lines.charge_code = site_usage.charge_code
        and rated_lines.site_id = site_usage.site_id
left join scopes
    on
        rated_lines.contract_id = scopes.contract_id
        and rated_lines.term_no = scopes.term_no
        and rated_lines.period = scopes.period
        and rated_lines.charge_code = scopes.charge_code
left join machine_totals
    on
        rated_lines.contract_id = machine_totals.contract_id
        and rated_lines.term_no = machine_totals.term_no
        and rated_lines.period = machine_totals.period
        and rated_lines.charge_code = machine_totals.charge_code
        and rated_lines.site_id = machine_totals.site_id
left join day_totals
    on
        rated_lines.contract_id = day_totals.contract_id
        and rated_lines.term_no = day_totals.term_no
        and rated_lines.period = day_totals.period
        and rated_lines.charge_code = day_totals.charge_code
        and rated_lines.site_id = day_totals.site_id
        and (day_totals.band is null or rated_lines.band = day_totals.band)
left join base_totals
    on
        rated_lines.contract_id = base_totals.contract_id
        and rated_lines.term_no = base_totals.term_no
        and rated_lines.period = base_totals.period
        and rated_lines.charge_code = base_totals.charge_code
        and rated_lines.site_id is not distinct from base_totals.site_id
left join tiers
    on
        rated_lines.contract_id = tiers.contract_id
        and rated_lines.term_no = tiers.term_no
        and rated_lines.period = tiers.period
        and rated_lines.charge_code = tiers.charge_code
        and rated_lines.band = tiers.band
left join units
    on charges.unit = units.unit
