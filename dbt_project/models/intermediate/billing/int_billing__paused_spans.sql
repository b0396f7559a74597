with machine_states as (

    select
        suspension_id,
        machine_id,
        site_id,
        state,
        switched,
        state_no,
        seen_at
    from {{ source('ledger', 'machine_states') }}
    where state in ('off', 'on', 'released')

),

resumptions as (

    select
        suspension_id,
        resumed_at
    from {{ source('ledger', 'resumptions') }}

),

followed as (

    select
        suspension_id,
        machine_id,
        site_id,
        state,
        switched,
        state_no,
        seen_at,
        lag(state) over (partition by suspension_id, machine_id, site_id order by state_no) as state_before,
        min(seen_at) filter (where state != 'off') over (
            partition by suspension_id, machine_id, site_id
            order by state_no
            rows between 1 following and unbounded following
        ) as next_other_at
    from machine_states

)

-- What was off before it was ordered is not switched on again, and paused no longer than the suspension lasts.
select
    followed.suspension_id,
    followed.machine_id,
    followed.site_id,
    followed.seen_at as paused_from,
    case when followed.switched then followed.next_other_at else coalesce(followed.next_other_at, resumptions.resumed_at) end as paused_to
from followed
left join resumptions
    on followed.suspension_id = resumptions.suspension_id
where followed.state = 'off' and coalesce(followed.state_before, 'on') != 'off'
