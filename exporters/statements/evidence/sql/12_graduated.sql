-- graduated: each tier takes the part of the usage between its bounds. `per` says whose usage fills the tiers: that of each site, of
-- each machine at a site, or of all sites of the contract together.
create or replace table tier_quantities as
with tiers as (
    select
        charges.contract_id,
        charges.term_no,
        charges.period,
        charges.code,
        charges.metric,
        charges.unit,
        charges.per,
        tiers.tier_no,
        cast(tiers.from_quantity * 1000000000000 as hugeint) as from_pico,
        cast(tiers.up_to * 1000000000000 as hugeint) as up_to_pico
    from priced_charges as charges
    inner join 'data/charge_tiers.parquet' as tiers
        on
            charges.plan_id = tiers.plan_id
            and charges.version = tiers.version
            and charges.code = tiers.code
    where charges.model = 'graduated'
),

-- a site's usage fills the tiers
by_site as (
    select
        tiers.contract_id,
        tiers.term_no,
        tiers.period,
        tiers.code,
        tiers.tier_no,
        used.site_id,
        least(used.pico, tiers.up_to_pico) - tiers.from_pico as pico
    from tiers
    inner join charge_usage as used
        using (contract_id, term_no, period, code)
    where tiers.per = 'site' and used.pico > tiers.from_pico
),

-- every machine fills them for itself; what fell into a tier adds up per site
machines as (
    select
        days.contract_id,
        days.term_no,
        days.period,
        days.site_id,
        days.metric,
        days.machine_id,
        sum(days.nano) as nano
    from usage_days as days
    group by all
),

machines_in_unit as (
    select
        tiers.*,
        machines.site_id,
        (2 * machines.nano * 1000 * units.denominator + units.numerator) // (2 * units.numerator) as machine_pico
    from tiers
    inner join machines
        using (contract_id, term_no, period, metric)
    inner join charge_usage as used
        on
            tiers.contract_id = used.contract_id
            and tiers.term_no = used.term_no
            and tiers.period = used.period
            and tiers.code = used.code
            and machines.site_id = used.site_id
    inner join 'data/units.parquet' as units
        on tiers.unit = units.unit and units.metric = units.usage_metric
    where tiers.per = 'machine'
),

by_machine as (
    select
        contract_id,
        term_no,
        period,
        code,
        tier_no,
        site_id,
        sum(least(machine_pico, up_to_pico) - from_pico) as pico
    from machines_in_unit
    where machine_pico > from_pico
    group by contract_id, term_no, period, code, tier_no, site_id
),

-- all sites fill them together; each tier's quantity is handed to the sites in the order of site_id: the first i sites get
-- tier × their usage ÷ all usage, rounded to 6 decimals, the last site with usage takes the rest
together as (
    select
        *,
        sum(pico) over (partition by contract_id, term_no, period, code) as all_pico,
        sum(pico) over (partition by contract_id, term_no, period, code order by site_id rows unbounded preceding) as pico_so_far
    from charge_usage
),

shares as (
    select
        tiers.contract_id,
        tiers.term_no,
        tiers.period,
        tiers.code,
        tiers.tier_no,
        together.site_id,
        together.pico_so_far,
        together.all_pico,
        least(together.all_pico, tiers.up_to_pico) - tiers.from_pico as tier_pico,
        -- tier_pico × pico_so_far ÷ all_pico, a long division in digits of 10^9, as the product has too many of them
        tier_pico // 1000000000 * together.pico_so_far as high,
        high % together.all_pico * 1000000000 + tier_pico % 1000000000 * together.pico_so_far as low,
        high // together.all_pico * 1000000000 + low // together.all_pico as share_pico
    from tiers
    inner join together
        using (contract_id, term_no, period, code)
    where tiers.per = 'contract' and together.all_pico > tiers.from_pico
),

handed_out as (
    select
        *,
        case
            when pico_so_far = all_pico then tier_pico
            else least(tier_pico, (share_pico + 500000) // 1000000 * 1000000)
        end as handed_so_far
    from shares
),

by_contract as (
    select
        contract_id,
        term_no,
        period,
        code,
        tier_no,
        site_id,
        handed_so_far - lag(handed_so_far, 1, 0) over (
            partition by contract_id, term_no, period, code, tier_no
            order by site_id
        ) as pico
    from handed_out
)

select contract_id, term_no, period, code, tier_no, site_id, pico from by_site
union all
select contract_id, term_no, period, code, tier_no, site_id, pico from by_machine
union all
select contract_id, term_no, period, code, tier_no, site_id, pico from by_contract;

insert into lines by name
with quantities as (
    select
        *,
        cast(pico as decimal(38, 0)) * cast('0.000000000001' as decimal(12, 12)) as quantity
    from tier_quantities
    where pico > 0
)

select
    charges.contract_id,
    charges.term_no,
    charges.period,
    charges.code,
    charges.model,
    'variable' as classification,
    quantities.site_id,
    cast(quantities.tier_no as varchar) as band,
    round(quantities.quantity, 6) as quantity,
    charges.unit,
    tiers.rate as unit_price,
    case charges.plan_minor_units
        when 0 then cast(round(quantities.quantity * tiers.rate, 0) as decimal(18, 2))
        else cast(round(quantities.quantity * tiers.rate, 2) as decimal(18, 2))
    end as plan_amount,
    -- the site's estimated part, in proportion: quantity × estimated ÷ usage, again by long division
    cast(
        (
            (quantities.pico // 1000000000 * used.estimated_pico) // used.pico * 1000000000
            + (
                (quantities.pico // 1000000000 * used.estimated_pico) % used.pico * 1000000000
                + quantities.pico % 1000000000 * used.estimated_pico
            ) // used.pico + 500000
        ) // 1000000 as decimal(38, 0)
    ) * 0.000001 as estimated_quantity
from priced_charges as charges
inner join 'data/charge_tiers.parquet' as tiers
    on
        charges.plan_id = tiers.plan_id
        and charges.version = tiers.version
        and charges.code = tiers.code
inner join quantities
    on
        charges.contract_id = quantities.contract_id
        and charges.term_no = quantities.term_no
        and charges.period = quantities.period
        and charges.code = quantities.code
        and tiers.tier_no = quantities.tier_no
inner join charge_usage as used
    on
        charges.contract_id = used.contract_id
        and charges.term_no = used.term_no
        and charges.period = used.period
        and charges.code = used.code
        and quantities.site_id = used.site_id;

select contract_id, period, code, site_id, band, quantity, unit, unit_price, plan_amount
from lines
where model = 'graduated'
order by all;
