{{ config(materialized='kept', meta={'phase': 'days'}) }}

-- Usage inside UTC days by machine and local date: that of the contract's billing timezone, of the site where there is no contract.
with quarter_usage as (

    select
        span_no,
        metric,
        quarter_no,
        quantity
    from {{ ref('int_metering__quarter_usage') }}

),

responsibilities as (

    select
        span_no,
        site_id,
        machine_id,
        contract_id,
        term_no,
        period,
        billing_timezone
    from {{ ref('int_metering__responsibilities') }}

),

sites as (

    select
        site_id,
        timezone
    from {{ source('book', 'sites') }}

),

local_quarters as (

    select
        timezone,
        quarter_no,
        local_date
    from {{ ref('int_metering__local_quarters') }}

),

spans as (

    select
        responsibilities.span_no,
        responsibilities.site_id,
        responsibilities.machine_id,
        responsibilities.contract_id,
        responsibilities.term_no,
        responsibilities.period,
        coalesce(responsibilities.billing_timezone, sites.timezone) as timezone
    from responsibilities
    inner join sites
        on responsibilities.site_id = sites.site_id

),

-- Numbers first, names after: the grouping is over millions of rows.
of_spans as (

    select
        quarter_usage.span_no,
        quarter_usage.metric,
        {{ int_div('quarter_usage.quarter_no', 96) }} as utc_day,
        local_quarters.local_date,
        sum(quarter_usage.quantity) as quantity
    from quarter_usage
    inner join spans
        on quarter_usage.span_no = spans.span_no
    inner join local_quarters
        on
            spans.timezone = local_quarters.timezone
            and quarter_usage.quarter_no = local_quarters.quarter_no
    group by quarter_usage.span_no, quarter_usage.metric, {{ int_div('quarter_usage.quarter_no', 96) }}, local_quarters.local_date

)

select
    spans.site_id,
    {{ date_of_us('of_spans.utc_day * 86400000000') }} as usage_date,
    spans.machine_id,
    spans.contract_id,
    spans.term_no,
    spans.period,
    of_spans.metric,
    of_spans.local_date,
    cast(sum(of_spans.quantity) as decimal(38, 9)) as quantity
from of_spans
inner join spans
    on of_spans.span_no = spans.span_no
group by
    spans.site_id, of_spans.utc_day, spans.machine_id, spans.contract_id, spans.term_no, spans.period, of_spans.metric, of_spans.local_date
order by spans.site_id, of_spans.local_date, spans.machine_id
