-- What metering takes from the book, as rows with a validity: who is responsible for a meter, what stands on it, how its site estimates and
-- what people edited. Rows that say the same can then be compared over time, whichever row of the book they come from.
with sites as (

    select
        site_id,
        timezone,
        default_rated_kw,
        coalesce(estimation, 'none') as estimation
    from {{ source('book', 'sites') }}

),

placements as (

    select
        site_id,
        meter_id,
        machine_id,
        valid_from_at,
        valid_to_at,
        rated_kw
    from {{ source('book', 'placements') }}

),

placement_metrics as (

    select
        site_id,
        meter_id,
        machine_id,
        valid_from_at
    from {{ source('book', 'placement_metrics') }}
    where metric = 'energy'

),

reading_edits as (

    select
        site_id,
        meter_id,
        metric,
        from_at,
        to_at,
        action,
        quantity,
        reason
    from {{ source('book', 'reading_edits') }}

),

contract_spans as (

    select
        site_id,
        meter_id,
        machine_id,
        contract_id,
        term_no,
        billing_timezone,
        span_start,
        span_end
    from {{ ref('int_metering__contract_spans') }}

)

select
    site_id,
    cast(null as string) as meter_id,
    concat_ws('|', 'site', timezone, estimation) as said,
    {{ beginning_of_time() }} as said_from,
    {{ end_of_time() }} as said_to
from sites
union all
select
    placements.site_id,
    placements.meter_id,
    concat_ws(
        '|',
        'placement',
        placements.machine_id,
        -- Where one placement begins is where a gap ends, also when the same machine stays.
        {{ digested_text('placements.valid_from_at') }},
        coalesce(cast(coalesce(placements.rated_kw, sites.default_rated_kw) as string), '-'),
        case when placement_metrics.site_id is null then '-' else 'energy' end
    ) as said,
    placements.valid_from_at as said_from,
    coalesce(placements.valid_to_at, {{ end_of_time() }}) as said_to
from placements
inner join sites
    on placements.site_id = sites.site_id
left join placement_metrics
    on
        placements.site_id = placement_metrics.site_id
        and placements.meter_id = placement_metrics.meter_id
        and placements.machine_id = placement_metrics.machine_id
        and placements.valid_from_at = placement_metrics.valid_from_at
union all
select
    site_id,
    meter_id,
    concat_ws(
        '|', 'edit', metric, action, coalesce(cast(quantity as string), '-'),
        case when action = 'set' then {{ digested_text('from_at') }} || {{ digested_text('to_at') }} end, reason
    ) as said,
    from_at as said_from,
    to_at as said_to
from reading_edits
union all
select
    site_id,
    meter_id,
    concat_ws('|', 'contract', machine_id, contract_id, cast(term_no as string), billing_timezone) as said,
    span_start as said_from,
    coalesce(span_end, {{ end_of_time() }}) as said_to
from contract_spans
