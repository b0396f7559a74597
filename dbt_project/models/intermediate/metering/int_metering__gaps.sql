{{ config(
    materialized='kept',
    meta={
        'phase': 'spans',
        'replaces': 'exists (select 1 from [hulls] as hulls where hulls.site_id = [self].site_id'
            ' and hulls.hull_start <= [self].gap_end and hulls.hull_end >= [self].gap_start)'
    }
) }}

-- Rule 5: spans inside a placement that gives energy, without accepted energy of its meter, which readings follow.
with hulls as (

    select
        site_id,
        hull_start,
        hull_end
    from {{ ref('int_metering__hulls') }}

),

covered as (

    select
        site_id,
        meter_id,
        covered_from,
        covered_to,
        first_quantity,
        first_us,
        last_quantity,
        last_us
    from {{ ref('int_metering__covered') }}

),

energy_placements as (

    select
        site_id,
        meter_id,
        machine_id,
        valid_from_at,
        valid_to_at
    from {{ ref('int_metering__energy_placements') }}

),

inside as (

    select
        covered.site_id,
        covered.meter_id,
        covered.covered_from,
        covered.covered_to,
        covered.first_quantity,
        covered.first_us,
        covered.last_quantity,
        covered.last_us
    from covered
    inner join hulls
        on
            covered.site_id = hulls.site_id
            and covered.covered_to >= hulls.hull_start
            and covered.covered_from <= hulls.hull_end

),

before as (

    select
        covered.site_id,
        covered.meter_id,
        max(covered.covered_from) as covered_from
    from covered
    inner join hulls
        on
            covered.site_id = hulls.site_id
            and covered.covered_to < hulls.hull_start
    group by covered.site_id, covered.meter_id

),

after as (

    select
        covered.site_id,
        covered.meter_id,
        min(covered.covered_from) as covered_from
    from covered
    inner join hulls
        on
            covered.site_id = hulls.site_id
            and covered.covered_from > hulls.hull_end
    group by covered.site_id, covered.meter_id

),

outside as (

    select
        site_id,
        meter_id,
        covered_from
    from before
    union all
    select
        site_id,
        meter_id,
        covered_from
    from after

),

looked_at as (

    select
        site_id,
        meter_id,
        covered_from,
        covered_to,
        first_quantity,
        first_us,
        last_quantity,
        last_us
    from inside
    union all
    select
        covered.site_id,
        covered.meter_id,
        covered.covered_from,
        covered.covered_to,
        covered.first_quantity,
        covered.first_us,
        covered.last_quantity,
        covered.last_us
    from covered
    inner join outside
        on
            covered.site_id = outside.site_id
            and covered.meter_id = outside.meter_id
            and covered.covered_from = outside.covered_from

),

placed as (

    select
        energy_placements.site_id,
        energy_placements.meter_id,
        energy_placements.machine_id,
        energy_placements.valid_from_at,
        greatest(looked_at.covered_from, energy_placements.valid_from_at) as covered_from,
        least(looked_at.covered_to, energy_placements.valid_to_at) as covered_to,
        looked_at.first_quantity,
        looked_at.first_us,
        looked_at.last_quantity,
        looked_at.last_us
    from energy_placements
    inner join looked_at
        on
            energy_placements.site_id = looked_at.site_id
            and energy_placements.meter_id = looked_at.meter_id
            and energy_placements.valid_from_at < looked_at.covered_to
            and (energy_placements.valid_to_at is null or energy_placements.valid_to_at > looked_at.covered_from)

),

in_turn as (

    select
        site_id,
        meter_id,
        machine_id,
        valid_from_at,
        coalesce(lag(covered_to) over placement_in_time, valid_from_at) as gap_start,
        covered_from as gap_end,
        lag(last_quantity) over placement_in_time as before_quantity,
        lag(last_us) over placement_in_time as before_us,
        first_quantity as after_quantity,
        first_us as after_us
    from placed
    window placement_in_time as (
        partition by site_id, meter_id, valid_from_at
        order by covered_from
    )

)

select
    in_turn.site_id,
    in_turn.meter_id,
    in_turn.machine_id,
    in_turn.valid_from_at,
    in_turn.gap_start,
    in_turn.gap_end,
    in_turn.before_quantity,
    in_turn.before_us,
    in_turn.after_quantity,
    in_turn.after_us
from in_turn
inner join hulls
    on
        in_turn.site_id = hulls.site_id
        and in_turn.gap_end >= hulls.hull_start
        and in_turn.gap_start <= hulls.hull_end
where in_turn.gap_start < in_turn.gap_end
