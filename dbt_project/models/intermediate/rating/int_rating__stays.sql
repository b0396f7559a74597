-- One row a start: two windows may order rows that begin and end together in two ways, and then one stay would become two.
with placements as (

    select
        machine_id,
        site_id,
        valid_from_at as starts_at,
        max(coalesce(valid_to_at, {{ instant('9999-12-31 00:00:00+00') }})) as ends_at
    from {{ source('book', 'placements') }}
    group by machine_id, site_id, valid_from_at

),

assignments as (

    select
        machine_id,
        contract_id,
        valid_from_at as starts_at,
        coalesce(valid_to_at, {{ instant('9999-12-31 00:00:00+00') }}) as ends_at
    from {{ source('book', 'assignments') }}

),

segments as (

    select
        contract_id,
        term_no,
        period,
        segment_start,
        segment_end
    from {{ ref('int_billing__segments') }}

),

-- A machine may stand on several meters of a site at once: its time there counts once.
reach as (

    select
        machine_id,
        site_id,
        starts_at,
        ends_at,
        max(ends_at) over (
            partition by machine_id, site_id
            order by starts_at
            rows between unbounded preceding and 1 preceding
        ) as reached_at
    from placements

),

numbered as (

    select
        machine_id,
        site_id,
        starts_at,
        ends_at,
        sum(case when starts_at <= reached_at then 0 else 1 end) over (
            partition by machine_id, site_id
            order by starts_at
            rows unbounded preceding
        ) as stay_no
    from reach

),

stays as (

    select
        machine_id,
        site_id,
        min(starts_at) as starts_at,
        max(ends_at) as ends_at
    from numbered
    group by machine_id, site_id, stay_no

),

held as (

    select
        segments.contract_id,
        segments.term_no,
        segments.period,
        stays.site_id,
        stays.machine_id,
        greatest(stays.starts_at, assignments.starts_at, segments.segment_start) as starts_at,
        least(stays.ends_at, assignments.ends_at, segments.segment_end) as ends_at
    from segments
    inner join assignments
        on
            segments.contract_id = assignments.contract_id
            and segments.segment_start < assignments.ends_at
            and segments.segment_end > assignments.starts_at
    inner join stays
        on
            assignments.machine_id = stays.machine_id
            and assignments.ends_at > stays.starts_at
            and assignments.starts_at < stays.ends_at

)

select
    contract_id,
    term_no,
    period,
    site_id,
    machine_id,
    starts_at,
    ends_at
from held
where starts_at < ends_at
