{{ config(materialized='kept', meta={'phase': 'days'}) }}

-- Usage inside UTC days by contract and quarter-hour: what rates by band, index hour and demand window are made of.
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
        contract_id,
        term_no,
        period
    from {{ ref('int_metering__responsibilities') }}
    where contract_id is not null

)

select
    responsibilities.site_id,
    {{ date_of_us(int_div('quarter_usage.quarter_no', 96) ~ ' * 86400000000') }} as usage_date,
    responsibilities.contract_id,
    responsibilities.term_no,
    responsibilities.period,
    quarter_usage.metric,
    quarter_usage.quarter_no,
    cast(sum(quarter_usage.quantity) as decimal(38, 9)) as quantity
from quarter_usage
inner join responsibilities
    on quarter_usage.span_no = responsibilities.span_no
group by
    responsibilities.site_id,
    responsibilities.contract_id,
    responsibilities.term_no,
    responsibilities.period,
    quarter_usage.metric,
    quarter_usage.quarter_no
order by responsibilities.site_id, responsibilities.contract_id, quarter_usage.metric, quarter_usage.quarter_no
