select
    exception_id,
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
    detail,
    first_seen,
    status
from {{ ref('int_billing__exceptions') }}
union all
select
    exception_id,
    kind,
    'blocking' as severity,
    period,
    cast(null as string) as site_id,
    cast(null as string) as meter_id,
    cast(null as string) as machine_id,
    cast(null as string) as contract_id,
    cast(null as string) as event_id,
    payer_id,
    statement_id,
    cast(null as date) as day,
    cast(1 as bigint) as occurrences,
    cast(null as decimal(38, 9)) as quantity,
    detail,
    first_seen,
    status
from {{ ref('int_billing__document_exceptions') }}
union all
select
    exception_id,
    kind,
    'warning' as severity,
    period,
    cast(null as string) as site_id,
    cast(null as string) as meter_id,
    cast(null as string) as machine_id,
    cast(null as string) as contract_id,
    cast(null as string) as event_id,
    cast(null as string) as payer_id,
    cast(null as string) as statement_id,
    day,
    cast(1 as bigint) as occurrences,
    cast(null as decimal(38, 9)) as quantity,
    detail,
    first_seen,
    status
from {{ ref('int_billing__bank_exceptions') }}
union all
select
    exception_id,
    kind,
    'warning' as severity,
    period,
    site_id,
    cast(null as string) as meter_id,
    machine_id,
    contract_id,
    cast(null as string) as event_id,
    payer_id,
    cast(null as string) as statement_id,
    day,
    cast(1 as bigint) as occurrences,
    cast(quantity as decimal(38, 9)) as quantity,
    detail,
    first_seen,
    status
from {{ ref('int_billing__suspension_exceptions') }}
