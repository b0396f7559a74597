{{ config(materialized='kept', meta={'phase': 'days'}) }}

-- Usage inside UTC days by meter, machine and hour of the site's clock: the model hours of estimation, kept where a site estimates by them.
with quarter_usage as (

    select
        span_no,
        quarter_no,
        quantity,
        covered_us
    from {{ ref('int_metering__quarter_usage') }}
    where metric = 'energy'

),

responsibilities as (

    select
        span_no,
        site_id,
        meter_id,
        machine_id
    from {{ ref('int_metering__responsibilities') }}
    where machine_id is not null

),

sites as (

    select
        site_id,
        timezone
    from {{ source('book', 'sites') }}
    where estimation = 'like_day'

),

local_quarters as (

    select
        timezone,
        quarter_no,
        hour_start
    from {{ ref('int_metering__local_quarters') }}

)

select
    responsibilities.site_id,
    {{ date_of_us(int_div('quarter_usage.quarter_no', 96) ~ ' * 86400000000') }} as usage_date,
    responsibilities.meter_id,
    responsibilities.machine_id,
    local_quarters.hour_start,
    cast(sum(quarter_usage.quantity) as decimal(38, 9)) as quantity,
    cast(sum(quarter_usage.covered_us) as bigint) as covered_us
from quarter_usage
inner join responsibilities
    on quarter_usage.span_no = responsibilities.span_no
inner join sites
    on responsibilities.site_id = sites.site_id
inner join local_quarters
    on
        sites.timezone = local_quarters.timezone
        and quarter_usage.quarter_no = local_quarters.quarter_no
group by
    responsibilities.site_id,
    {{ int_div('quarter_usage.quarter_no', 96) }},
    responsibilities.meter_id,
    responsibilities.machine_id,
    local_quarters.hour_start
