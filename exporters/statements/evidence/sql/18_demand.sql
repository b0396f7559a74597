-- demand: the greatest energy in a window of 15, 30 or 60 minutes of UTC, all machines at the site together, as power: × 60 ÷ minutes.
insert into lines by name
with windows as (
    select
        charges.contract_id,
        charges.term_no,
        charges.period,
        charges.code,
        quarters.site_id,
        quarters.quarter_no // (charges.window_minutes // 15) as window_no,
        sum(quarters.nano) as nano
    from priced_charges as charges
    inner join 'data/charge_sites.parquet' as charge_sites
        on
            charges.plan_id = charge_sites.plan_id
            and charges.version = charge_sites.version
            and charges.code = charge_sites.code
    inner join usage_quarters as quarters
        on
            charges.contract_id = quarters.contract_id
            and charges.term_no = quarters.term_no
            and charges.period = quarters.period
            and charge_sites.site_id = quarters.site_id
    where charges.model = 'demand' and quarters.metric = 'energy'
    group by all
),

peaks as (
    select
        contract_id,
        term_no,
        period,
        code,
        site_id,
        max(nano) as nano
    from windows
    group by contract_id, term_no, period, code, site_id
),

powers as (
    select
        charges.*,
        peaks.site_id,
        cast(peaks.nano * (60 // charges.window_minutes) as decimal(38, 0)) * cast('0.000000001' as decimal(9, 9)) as peak_kw
    from priced_charges as charges
    inner join peaks
        using (contract_id, term_no, period, code)
)

select
    contract_id,
    term_no,
    period,
    code,
    model,
    'variable' as classification,
    site_id,
    round(peak_kw, 6) as quantity,
    'kW' as unit,
    rate as unit_price,
    case plan_minor_units
        when 0 then cast(round(peak_kw * rate, 0) as decimal(18, 2))
        else cast(round(peak_kw * rate, 2) as decimal(18, 2))
    end as plan_amount,
    0 as estimated_quantity
from powers
where peak_kw > 0;

select contract_id, period, code, site_id, band, quantity, unit, unit_price, plan_amount
from lines
where model = 'demand'
order by all;
