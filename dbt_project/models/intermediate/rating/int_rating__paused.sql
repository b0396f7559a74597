with stays as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        machine_id,
        starts_at,
        ends_at
    from {{ ref('int_rating__stays') }}

),

paused_spans as (

    select
        machine_id,
        site_id,
        paused_from,
        coalesce(paused_to, {{ instant('9999-12-31 00:00:00+00') }}) as paused_to
    from {{ ref('int_billing__paused_spans') }}

),

paused_stays as (

    select
        stays.contract_id,
        stays.term_no,
        stays.period,
        stays.site_id,
        stays.machine_id,
        greatest(stays.starts_at, paused_spans.paused_from) as starts_at,
        least(stays.ends_at, paused_spans.paused_to) as ends_at
    from stays
    inner join paused_spans
        on
            stays.machine_id = paused_spans.machine_id
            and stays.site_id = paused_spans.site_id
            and stays.starts_at < paused_spans.paused_to
            and stays.ends_at > paused_spans.paused_from

),

ends as (

    select
        is_start,
        step
    from (values (true, 1), (false, -1)) as both_ends (is_start, step)

),

-- A site, and the contract as a whole, is paused while it has machines and all of them are.
moments as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        case when ends.is_start then stays.starts_at else stays.ends_at end as moment,
        ends.step as machines,
        0 as paused
    from stays
    cross join ends
    where (contract_id, period) in (select (paused_stays.contract_id, paused_stays.period) from paused_stays)
    union all
    select
        contract_id,
        term_no,
        period,
        site_id,
        case when ends.is_start then paused_stays.starts_at else paused_stays.ends_at end as moment,
        0 as machines,
        ends.step as paused
    from paused_stays
    cross join ends

),

scopes as (

    select
        contract_id,
        term_no,
        period,
        {{ each_of(['site_id', 'cast(null as string)']) }} as site_id,
        moment,
        machines,
        paused
    from moments

),

steps as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        moment,
        sum(machines) as machines,
        sum(paused) as paused
    from scopes
    group by contract_id, term_no, period, site_id, moment

),

levels as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        moment,
        sum(machines) over (partition by contract_id, term_no, period, site_id order by moment) as machines,
        sum(paused) over (partition by contract_id, term_no, period, site_id order by moment) as paused,
        lead(moment) over (partition by contract_id, term_no, period, site_id order by moment) as until
    from steps

)

select
    contract_id,
    term_no,
    period,
    site_id,
    machine_id,
    cast(sum({{ us('ends_at') }} - {{ us('starts_at') }}) as bigint) as paused_us
from paused_stays
group by contract_id, term_no, period, site_id, machine_id
union all
select
    contract_id,
    term_no,
    period,
    site_id,
    cast(null as string) as machine_id,
    cast(sum({{ us('until') }} - {{ us('moment') }}) as bigint) as paused_us
from levels
where machines > 0 and machines = paused
group by contract_id, term_no, period, site_id
