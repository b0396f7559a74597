with suspensions as (

    select
        suspension_id,
        payer_id,
        policy_id,
        statement_numbers,
        reason,
        said_by,
        suspended_at
    from {{ source('ledger', 'suspensions') }}

),

suspended_machines as (

    select
        suspension_id,
        machine_id,
        contract_id,
        site_id,
        meters
    from {{ source('ledger', 'suspended_machines') }}

),

resumptions as (

    select
        suspension_id,
        reason,
        said_by,
        resumed_at
    from {{ source('ledger', 'resumptions') }}

),

machine_states as (

    select
        suspension_id,
        machine_id,
        site_id,
        max_by(wanted, state_no) as wanted,
        max_by(state, state_no) as state,
        max_by(coalesce(detail, ''), state_no) as detail,
        bool_or(switched) as switched,
        min(seen_at) filter (where state = 'off') as paused_at,
        max(seen_at) filter (where state = 'on' and wanted = 'on') as running_at
    from {{ source('ledger', 'machine_states') }}
    group by suspension_id, machine_id, site_id

),

pause_energy as (

    select
        suspension_id,
        machine_id,
        site_id,
        max_by(daily_kwh_before, paused_from) as daily_kwh_before,
        max_by(daily_kwh_paused, paused_from) as daily_kwh_paused,
        max_by(has_fallen, paused_from) as has_fallen
    from {{ ref('int_billing__pause_energy') }}
    group by suspension_id, machine_id, site_id

)

select
    suspensions.suspension_id,
    suspensions.payer_id,
    suspended_machines.machine_id,
    suspended_machines.site_id,
    suspended_machines.contract_id,
    {{ json_list_joined('suspended_machines.meters', '|') }} as meters,
    suspensions.policy_id,
    {{ json_list_joined('suspensions.statement_numbers', '|') }} as statement_numbers,
    suspensions.reason,
    suspensions.said_by as suspended_by,
    suspensions.suspended_at,
    machine_states.paused_at,
    resumptions.resumed_at,
    resumptions.said_by as resumed_by,
    resumptions.reason as resumed_because,
    machine_states.running_at,
    case
        when machine_states.state = 'released' then 'released'
        when resumptions.suspension_id is null and machine_states.state = 'off' then 'paused'
        when resumptions.suspension_id is null then 'pausing'
        when machine_states.state = 'on' and machine_states.wanted = 'on' then 'running'
        when not coalesce(machine_states.switched, false) then 'not switched'
        else 'resuming'
    end as state,
    nullif(machine_states.detail, '') as detail,
    cast(pause_energy.daily_kwh_before as decimal(18, 3)) as daily_kwh_before,
    cast(pause_energy.daily_kwh_paused as decimal(18, 3)) as daily_kwh_paused,
    pause_energy.has_fallen as is_proven
from suspensions
inner join suspended_machines
    on suspensions.suspension_id = suspended_machines.suspension_id
left join resumptions
    on suspensions.suspension_id = resumptions.suspension_id
left join machine_states
    on
        suspended_machines.suspension_id = machine_states.suspension_id
        and suspended_machines.machine_id = machine_states.machine_id
        and suspended_machines.site_id = machine_states.site_id
left join pause_energy
    on
        suspended_machines.suspension_id = pause_energy.suspension_id
        and suspended_machines.machine_id = pause_energy.machine_id
        and suspended_machines.site_id = pause_energy.site_id
