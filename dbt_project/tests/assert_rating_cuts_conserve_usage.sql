-- Windows and bands are cut so that nothing is lost: per segment and site their sum is the usage, to the last decimal.
with machine_usage as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        sum(quantity) as quantity
    from {{ ref('int_rating__machine_usage') }}
    where metric = 'energy'
    group by contract_id, term_no, period, site_id

),

windows as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        window_minutes,
        sum(quantity) as quantity
    from {{ ref('int_rating__window_usage') }}
    group by contract_id, term_no, period, site_id, window_minutes

)

select
    windows.contract_id,
    windows.term_no,
    windows.period,
    windows.site_id,
    windows.window_minutes,
    windows.quantity,
    machine_usage.quantity as assigned_quantity
from windows
left join machine_usage
    on
        windows.contract_id = machine_usage.contract_id
        and windows.term_no = machine_usage.term_no
        and windows.period = machine_usage.period
        and windows.site_id = machine_usage.site_id
where windows.quantity is distinct from machine_usage.quantity
