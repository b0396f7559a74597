{{ config(materialized='kept', meta={'phase': 'days'}) }}

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
        contract_id
    from {{ ref('int_metering__responsibilities') }}

)

select
    responsibilities.site_id,
    {{ date_of_us(int_div('quarter_usage.quarter_no', 96) ~ ' * 86400000000') }} as usage_date,
    quarter_usage.metric,
    cast(sum(case when responsibilities.contract_id is not null then quarter_usage.quantity else 0 end) as decimal(38, 9)) as assigned,
    cast(sum(case when responsibilities.contract_id is null then quarter_usage.quantity else 0 end) as decimal(38, 9)) as unassigned
from quarter_usage
inner join responsibilities
    on quarter_usage.span_no = responsibilities.span_no
group by responsibilities.site_id, {{ int_div('quarter_usage.quarter_no', 96) }}, quarter_usage.metric
