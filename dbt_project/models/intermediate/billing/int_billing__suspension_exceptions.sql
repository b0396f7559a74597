with pause_energy as (

    select
        suspension_id,
        machine_id,
        site_id,
        paused_from,
        paused_to,
        days_paused,
        daily_kwh_before,
        daily_kwh_paused,
        last_day,
        kwh_estimated,
        last_estimated_day,
        has_fallen,
        {{ instant_in_words('paused_from') }} as paused_since
    from {{ ref('int_billing__pause_energy') }}

),

suspensions as (

    select
        suspension_id,
        payer_id
    from {{ source('ledger', 'suspensions') }}

),

suspended_machines as (

    select
        suspension_id,
        machine_id,
        site_id,
        contract_id
    from {{ source('ledger', 'suspended_machines') }}

),

actions as (

    select
        exception_id,
        max_by(action, recorded_at) as action
    from {{ source('ledger', 'exception_actions') }}
    group by exception_id

),

found as (

    select
        'still_running_after_suspend' as kind,
        suspension_id,
        machine_id,
        site_id,
        paused_from,
        last_day as day,
        daily_kwh_paused as quantity,
        'machine ' || machine_id || ' at ' || site_id || ' reports to be off since ' || paused_since
        || ' and used ' || cast(daily_kwh_paused as string) || ' kWh a day on the last ' || days_paused || ' measured days, '
        || cast(daily_kwh_before as string) || ' before: look at the machine, or at its meter in machines.csv' as detail
    from pause_energy
    where not has_fallen
    union all
    select
        'estimated_while_suspended' as kind,
        suspension_id,
        machine_id,
        site_id,
        paused_from,
        last_estimated_day as day,
        kwh_estimated as quantity,
        cast(kwh_estimated as string) || ' kWh are estimated for machine ' || machine_id || ' at ' || site_id
        || ', which was off since ' || paused_since || ': its meter is silent. Set what it used: m2c edit set '
        || site_id || ' METER energy …' as detail
    from pause_energy
    where kwh_estimated > 0

),

named as (

    select
        found.kind,
        found.machine_id,
        found.site_id,
        suspended_machines.contract_id,
        suspensions.payer_id,
        found.day,
        found.quantity,
        found.detail,
        {{ month_of('found.day') }} as period,
        found.paused_from as first_seen,
        left(
            sha256(
                concat_ws(
                    '|',
                    found.kind,
                    found.suspension_id,
                    found.machine_id,
                    found.site_id,
                    cast({{ us('found.paused_from') }} as string)
                )
            ),
            16
        ) as exception_id
    from found
    inner join suspensions
        on found.suspension_id = suspensions.suspension_id
    inner join suspended_machines
        on
            found.suspension_id = suspended_machines.suspension_id
            and found.machine_id = suspended_machines.machine_id
            and found.site_id = suspended_machines.site_id

)

select
    named.exception_id,
    named.kind,
    named.period,
    named.site_id,
    named.machine_id,
    named.contract_id,
    named.payer_id,
    named.day,
    named.quantity,
    named.detail,
    named.first_seen,
    {{ exception_status('actions.action') }} as status
from named
left join actions
    on named.exception_id = actions.exception_id
