{{ config(
    materialized='kept',
    meta={'phase': 'totals', 'replaces': 'false', 'remembers': true, 'published_by': 'run'}
) }}

-- What became of days that had been told before. A day that is still arriving is not revised: the site had readings, in an earlier
-- run, both of its first UTC day or before it and of its last or after it. A day of which nothing had come counts too: what was
-- estimated or divided over it had been told.
with daily_before as (

    select
        site_id,
        machine_id,
        contract_id,
        usage_date,
        metric,
        metered_quantity,
        estimated_quantity
    from {{ ref('int_metering__daily_before') }}

),

daily_now as (

    select
        site_id,
        machine_id,
        contract_id,
        usage_date,
        metric,
        metered_quantity,
        estimated_quantity
    from {{ ref('int_metering__daily_now') }}

),

touched_dates as (

    select
        site_id,
        usage_date,
        why
    from {{ ref('int_metering__touched_dates') }}
    where not is_settled

),

local_days as (

    select
        timezone,
        local_date,
        day_start,
        day_end
    from {{ ref('int_metering__local_days') }}

),

contract_terms as (

    select distinct
        contract_id,
        billing_timezone
    from {{ source('book', 'contract_terms') }}

),

sites as (

    select
        site_id,
        timezone
    from {{ source('book', 'sites') }}

),

known_sites as (

    select
        site_id,
        min(usage_date) as first_date,
        max(usage_date) as last_date
    from {{ ref('int_metering__days_known') }}
    group by site_id

),

this_run as (

    select
        run_no,
        run_at
    from {{ ref('int_metering__this_run') }}

),

units as (

    select distinct
        usage_metric,
        canonical_unit
    from {{ ref('units') }}
    where metric = usage_metric

),

-- A machine or contract may be null, which is a value of its own here.
compared as (

    select
        coalesce(daily_now.site_id, daily_before.site_id) as site_id,
        coalesce(daily_now.machine_id, daily_before.machine_id) as machine_id,
        coalesce(daily_now.contract_id, daily_before.contract_id) as contract_id,
        coalesce(daily_now.usage_date, daily_before.usage_date) as usage_date,
        coalesce(daily_now.metric, daily_before.metric) as metric,
        coalesce(daily_before.metered_quantity, 0) as metered_before,
        coalesce(daily_now.metered_quantity, 0) as metered_after,
        coalesce(daily_before.estimated_quantity, 0) as estimated_before,
        coalesce(daily_now.estimated_quantity, 0) as estimated_after
    from daily_now
    full outer join daily_before
        on
            daily_now.site_id = daily_before.site_id
            and daily_now.usage_date = daily_before.usage_date
            and daily_now.metric = daily_before.metric
            and coalesce(daily_now.machine_id, '') = coalesce(daily_before.machine_id, '')
            and coalesce(daily_now.contract_id, '') = coalesce(daily_before.contract_id, '')

),

changed as (

    select
        compared.site_id,
        compared.machine_id,
        compared.contract_id,
        compared.usage_date,
        compared.metric,
        compared.metered_before,
        compared.metered_after,
        compared.estimated_before,
        compared.estimated_after,
        coalesce(contract_terms.billing_timezone, sites.timezone) as timezone
    from compared
    inner join sites
        on compared.site_id = sites.site_id
    left join contract_terms
        on compared.contract_id = contract_terms.contract_id
    where
        compared.metered_before != compared.metered_after
        or compared.estimated_before != compared.estimated_after

),

changed_days as (

    select distinct
        site_id,
        usage_date,
        timezone
    from changed

),

told_before as (

    select
        changed_days.site_id,
        changed_days.usage_date,
        changed_days.timezone
    from changed_days
    inner join local_days
        on
            changed_days.timezone = local_days.timezone
            and changed_days.usage_date = local_days.local_date
    inner join known_sites
        on
            changed_days.site_id = known_sites.site_id
            and {{ utc_date('local_days.day_start') }} >= known_sites.first_date
            and {{ utc_date('local_days.day_end - interval 1 microsecond') }} <= known_sites.last_date

)

select
    changed.site_id,
    changed.machine_id,
    changed.contract_id,
    changed.usage_date,
    changed.metric,
    changed.metered_before,
    changed.metered_after,
    changed.estimated_before,
    changed.estimated_after,
    units.canonical_unit as unit,
    touched_dates.why,
    this_run.run_at as revised_at,
    this_run.run_no
from changed
inner join told_before
    on
        changed.site_id = told_before.site_id
        and changed.usage_date = told_before.usage_date
        and changed.timezone = told_before.timezone
inner join touched_dates
    on
        changed.site_id = touched_dates.site_id
        and changed.usage_date = touched_dates.usage_date
inner join units
    on changed.metric = units.usage_metric
cross join this_run
