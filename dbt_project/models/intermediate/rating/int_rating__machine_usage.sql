-- depends_on: {{ ref('int_metering__days') }}
with due as (

    select
        contract_id,
        period
    from {{ ref('int_rating__scope') }}
    where is_due

),

month_usage as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        metric,
        machine_id,
        quantity,
        estimated_quantity
    from {{ ref('int_metering__month_usage') }}

)

select
    month_usage.contract_id,
    month_usage.term_no,
    month_usage.period,
    month_usage.site_id,
    month_usage.metric,
    month_usage.machine_id,
    month_usage.quantity,
    month_usage.estimated_quantity
from month_usage
inner join due
    on
        month_usage.contract_id = due.contract_id
        and month_usage.period = due.period
