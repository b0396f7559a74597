-- What rule 6 cuts along: for each meter, who is responsible when.
with placements as (

    select
        site_id,
        meter_id,
        machine_id,
        valid_from_at,
        valid_to_at
    from {{ source('book', 'placements') }}

),

assignments as (

    select
        machine_id,
        contract_id,
        valid_from_at,
        valid_to_at
    from {{ source('book', 'assignments') }}

),

contract_terms as (

    select
        contract_id,
        term_no,
        billing_timezone,
        valid_from_at,
        valid_to_at
    from {{ source('book', 'contract_terms') }}

),

zone_months as (

    select
        timezone,
        period,
        start_at,
        end_at
    from {{ source('book', 'zone_months') }}

),

reading_edits as (

    select
        site_id,
        meter_id
    from {{ source('book', 'reading_edits') }}
    where action = 'set'

),

bounds as (

    select
        spans_from,
        spans_to
    from {{ ref('int_metering__range') }}

),

months as (

    select
        zone_months.timezone,
        zone_months.period,
        zone_months.start_at,
        zone_months.end_at
    from zone_months
    inner join bounds
        on
            zone_months.end_at > bounds.spans_from
            and zone_months.start_at < bounds.spans_to

),

placed as (

    select
        placements.site_id,
        placements.meter_id,
        placements.machine_id,
        greatest(placements.valid_from_at, bounds.spans_from) as span_start,
        least(coalesce(placements.valid_to_at, bounds.spans_to), bounds.spans_to) as span_end
    from placements
    inner join bounds
        on
            placements.valid_from_at < bounds.spans_to
            and (placements.valid_to_at is null or placements.valid_to_at > bounds.spans_from)

),

assigned as (

    select
        placed.site_id,
        placed.meter_id,
        placed.machine_id,
        assignments.contract_id,
        greatest(placed.span_start, assignments.valid_from_at) as span_start,
        least(placed.span_end, coalesce(assignments.valid_to_at, placed.span_end)) as span_end
    from placed
    inner join assignments
        on
            placed.machine_id = assignments.machine_id
            and placed.span_end > assignments.valid_from_at
            and (assignments.valid_to_at is null or placed.span_start < assignments.valid_to_at)

),

in_terms as (

    select
        assigned.site_id,
        assigned.meter_id,
        assigned.machine_id,
        assigned.contract_id,
        contract_terms.term_no,
        contract_terms.billing_timezone,
        greatest(assigned.span_start, contract_terms.valid_from_at) as span_start,
        least(assigned.span_end, coalesce(contract_terms.valid_to_at, assigned.span_end)) as span_end
    from assigned
    inner join contract_terms
        on
            assigned.contract_id = contract_terms.contract_id
            and assigned.span_end > contract_terms.valid_from_at
            and (contract_terms.valid_to_at is null or assigned.span_start < contract_terms.valid_to_at)

),

in_periods as (

    select
        in_terms.site_id,
        in_terms.meter_id,
        in_terms.machine_id,
        in_terms.contract_id,
        in_terms.term_no,
        in_terms.billing_timezone,
        months.period,
        greatest(in_terms.span_start, months.start_at) as span_start,
        least(in_terms.span_end, months.end_at) as span_end
    from in_terms
    inner join months
        on
            in_terms.billing_timezone = months.timezone
            and in_terms.span_end > months.start_at
            and in_terms.span_start < months.end_at

),

meters as (

    select
        site_id,
        meter_id
    from placements
    union
    select
        site_id,
        meter_id
    from reading_edits

),

cuts as (

    select
        site_id,
        meter_id,
        span_start as cut_at
    from in_periods
    union
    select
        site_id,
        meter_id,
        span_end as cut_at
    from in_periods
    union
    select
        site_id,
        meter_id,
        span_start as cut_at
    from placed
    union
    select
        site_id,
        meter_id,
        span_end as cut_at
    from placed
    union
    select
        meters.site_id,
        meters.meter_id,
        bounds.spans_from as cut_at
    from meters
    cross join bounds
    union
    select
        meters.site_id,
        meters.meter_id,
        bounds.spans_to as cut_at
    from meters
    cross join bounds

),

spans as (

    select
        site_id,
        meter_id,
        cut_at as span_start,
        lead(cut_at) over (partition by site_id, meter_id order by cut_at) as span_end
    from cuts
    where cut_at is not null

)

-- Nothing is cut inside a span of in_periods, so its start finds it.
select
    spans.site_id,
    spans.meter_id,
    spans.span_start,
    spans.span_end,
    placed.machine_id,
    in_periods.contract_id,
    in_periods.term_no,
    in_periods.billing_timezone,
    in_periods.period
from spans
left join placed
    on
        spans.site_id = placed.site_id
        and spans.meter_id = placed.meter_id
        and spans.span_start >= placed.span_start
        and spans.span_start < placed.span_end
left join in_periods
    on
        spans.site_id = in_periods.site_id
        and spans.meter_id = in_periods.meter_id
        and spans.span_start = in_periods.span_start
where spans.span_end is not null
