with nothing_yet as (

    select
        cast(null as varchar) as kind,
        cast(null as varchar) as severity,
        cast(null as varchar) as period,
        cast(null as varchar) as site_id,
        cast(null as varchar) as meter_id,
        cast(null as varchar) as machine_id,
        cast(null as varchar) as contract_id,
        cast(null as varchar) as event_id,
        cast(null as varchar) as payer_id,
        cast(null as varchar) as statement_id,
        cast(null as date) as day,
        cast(null as bigint) as occurrences,
        cast(null as decimal(38, 9)) as quantity,
        cast(null as varchar) as detail

)

select
    kind,
    severity,
    period,
    site_id,
    meter_id,
    machine_id,
    contract_id,
    event_id,
    payer_id,
    statement_id,
    day,
    occurrences,
    quantity,
    detail
from nothing_yet
where false
