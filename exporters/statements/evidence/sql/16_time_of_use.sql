-- time_of_use: usage by band of the site's clock. A quarter of an hour has the band of its local start: the first of the calendar's
-- bands that holds it on that kind of day (a public holiday is only a holiday, whatever its weekday), else the default band.
create or replace table quarter_bands as
with quarters as (
    select distinct
        charges.calendar_id,
        sites.site_id,
        usage_quarters.quarter_no,
        (usage_quarters.quarter_no * 900 + zones.utc_offset_seconds) // 86400 as day_no,
        (usage_quarters.quarter_no * 900 + zones.utc_offset_seconds) % 86400 // 60 as minute_of_day
    from priced_charges as charges
    inner join usage_quarters
        using (contract_id, term_no, period, metric)
    inner join 'data/sites.parquet' as sites
        on usage_quarters.site_id = sites.site_id
    inner join 'data/time_zones.parquet' as zones
        on
            sites.timezone = zones.timezone
            and usage_quarters.quarter_no * 900000000 >= epoch_us(zones.from_at)
            and usage_quarters.quarter_no * 900000000 < epoch_us(zones.to_at)
    where charges.model = 'time_of_use'
),

typed as (
    select
        quarters.*,
        calendars.default_band,
        case
            when exists (
                select 1 from 'data/holidays.parquet' as holidays
                where
                    holidays.country = calendars.country_holidays
                    and holidays.date = date '1970-01-01' + cast(quarters.day_no as integer)
            ) then 'holiday'
            -- 1970-01-01 was a Thursday
            else ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'][(quarters.day_no + 3) % 7 + 1]
        end as day_type
    from quarters
    inner join 'data/calendars.parquet' as calendars
        on quarters.calendar_id = calendars.calendar_id
)

select
    typed.calendar_id,
    typed.site_id,
    typed.quarter_no,
    coalesce(arg_min(bands.band, bands.band_no), typed.default_band) as band
from typed
left join 'data/calendar_bands.parquet' as bands
    on
        typed.calendar_id = bands.calendar_id
        and typed.day_type = bands.day_type
        and typed.minute_of_day >= bands.from_minute
        and typed.minute_of_day < bands.to_minute
group by typed.calendar_id, typed.site_id, typed.quarter_no, typed.default_band;

insert into lines by name
with by_band as (
    select
        charges.contract_id,
        charges.term_no,
        charges.period,
        charges.code,
        quarters.site_id,
        quarter_bands.band,
        sum(quarters.nano) as nano,
        coalesce(sum(quarters.nano) filter (where quarters.is_estimated), 0) as estimated_nano
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
            and charges.metric = quarters.metric
            and charge_sites.site_id = quarters.site_id
    inner join quarter_bands
        on
            charges.calendar_id = quarter_bands.calendar_id
            and quarters.site_id = quarter_bands.site_id
            and quarters.quarter_no = quarter_bands.quarter_no
    where charges.model = 'time_of_use'
    group by all
),

in_unit as (
    select
        charges.*,
        by_band.site_id,
        by_band.band,
        rates.rate as band_rate,
        cast(
            (2 * by_band.nano * 1000 * units.denominator + units.numerator) // (2 * units.numerator) as decimal(38, 0)
        ) * cast('0.000000000001' as decimal(12, 12)) as usage,
        cast(
            (2 * by_band.estimated_nano * 1000 * units.denominator + units.numerator) // (2 * units.numerator) as decimal(38, 0)
        ) * cast('0.000000000001' as decimal(12, 12)) as estimated_usage
    from priced_charges as charges
    inner join by_band
        using (contract_id, term_no, period, code)
    inner join 'data/charge_rates.parquet' as rates
        on
            charges.plan_id = rates.plan_id
            and charges.version = rates.version
            and charges.code = rates.code
            and by_band.band = rates.band
    inner join 'data/units.parquet' as units
        on charges.unit = units.unit and units.metric = units.usage_metric
)

select
    contract_id,
    term_no,
    period,
    code,
    model,
    'variable' as classification,
    site_id,
    band,
    round(usage, 6) as quantity,
    unit,
    band_rate as unit_price,
    case plan_minor_units
        when 0 then cast(round(usage * band_rate, 0) as decimal(18, 2))
        else cast(round(usage * band_rate, 2) as decimal(18, 2))
    end as plan_amount,
    round(estimated_usage, 6) as estimated_quantity
from in_unit
where usage > 0;

select contract_id, period, code, site_id, band, quantity, unit, unit_price, plan_amount
from lines
where model = 'time_of_use'
order by all;
