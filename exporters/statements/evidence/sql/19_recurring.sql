-- recurring: an amount per month for the contract, for each of its sites, or for each of its machines, in proportion to the time of
-- the month that it lasted (prorate `none`: whole). A machine is at a site while it stands on any meter there and is assigned.
create or replace table stays as
with held as (
    select
        contract_id,
        term_no,
        period,
        site_id,
        machine_id,
        epoch_us(span_start) as from_us,
        epoch_us(span_end) as to_us
    from billed_spans
),

-- Time on several meters at once counts once: of each span only what lies behind all earlier ones.
in_turn as (
    select
        *,
        coalesce(
            max(to_us) over (
                partition by contract_id, term_no, period, site_id, machine_id
                order by from_us, to_us
                rows between unbounded preceding and 1 preceding
            ), from_us
        ) as earlier_to_us
    from held
)

select
    contract_id,
    term_no,
    period,
    site_id,
    machine_id,
    sum(greatest(to_us - greatest(from_us, earlier_to_us), 0)) as stay_us
from in_turn
group by contract_id, term_no, period, site_id, machine_id;

insert into lines by name
with parts as (
    select
        charges.*,
        cast(null as varchar) as site_id,
        cast(case charges.prorate when 'none' then 1 else charges.segment_us end as hugeint) as part,
        cast(case charges.prorate when 'none' then 1 else charges.month_us end as hugeint) as whole
    from priced_charges as charges
    where charges.model = 'recurring' and charges.per = 'contract'
    union all
    select
        charges.*,
        at_site.site_id,
        case
            when charges.per = 'site' and charges.prorate = 'none' then 1
            when charges.per = 'site' then charges.segment_us
            when charges.prorate = 'none' then at_site.machines
            else at_site.stay_us
        end,
        case charges.prorate when 'none' then 1 else charges.month_us end
    from priced_charges as charges
    inner join 'data/charge_sites.parquet' as charge_sites
        on
            charges.plan_id = charge_sites.plan_id
            and charges.version = charge_sites.version
            and charges.code = charge_sites.code
    inner join (
        select contract_id, term_no, period, site_id, count(*) as machines, sum(stay_us) as stay_us
        from stays
        group by contract_id, term_no, period, site_id
    ) as at_site
        on
            charges.contract_id = at_site.contract_id
            and charges.term_no = at_site.term_no
            and charges.period = at_site.period
            and charge_sites.site_id = at_site.site_id
    where charges.model = 'recurring' and charges.per in ('site', 'machine')
)

select
    contract_id,
    term_no,
    period,
    code,
    model,
    'recurring' as classification,
    site_id,
    cast((2 * part * 1000000 + whole) // (2 * whole) as decimal(38, 0)) * 0.000001 as quantity,
    'month' as unit,
    amount as unit_price,
    -- amount × part ÷ whole in whole numbers of 10^-9, rounded once to whole cents (or whole units)
    case plan_minor_units
        when 0
            then cast(
                (2 * cast(amount * 1000000000 as hugeint) * part + whole * 1000000000) // (2 * whole * 1000000000) as decimal(18, 2)
            )
        else
            cast((2 * cast(amount * 1000000000 as hugeint) * part + whole * 10000000) // (2 * whole * 10000000) as decimal(38, 0)) * 0.01
    end as plan_amount,
    0 as estimated_quantity
from parts;

select contract_id, period, code, site_id, band, quantity, unit, unit_price, plan_amount
from lines
where model = 'recurring'
order by all;
