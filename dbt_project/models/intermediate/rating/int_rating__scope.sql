-- depends_on: {{ ref('int_metering__days') }}
-- What is due stays due until int_rating__settled has seen it rated.
{%- set is_first = load_relation(this) is none %}
with fingerprints as (

    select
        contract_id,
        period,
        fingerprint
    from {{ ref('int_rating__fingerprints') }}

),

last_rated as (

    {% if is_first -%}
        select
            cast(null as string) as contract_id,
            cast(null as string) as period,
            cast(null as string) as fingerprint,
            cast(null as string) as rules,
            cast(null as boolean) as is_due,
            cast(null as bigint) as run_no
        where false
    {%- else -%}
        select
            contract_id,
            period,
            fingerprint,
            rules,
            is_due,
            run_no
        from {{ this }}
    {%- endif %}

),

settings as (

    select adjustment_months
    from {{ source('book', 'settings') }}

),

build_context as (

    select
        also_period,
        last_issued_period,
        code_version || ' ' || {{ rules_of_rating() }} as rules
    from {{ source('context', 'build_context') }}

),

this_run as (

    select max(run_no) as run_no
    from {{ ref('int_metering__runs_done') }}

),

-- Periods before this one are left as they were rated.
first_adjustable as (

    select
        {{ month_of(months_later("cast(build_context.last_issued_period || '-01' as date)", 'cast(1 - settings.adjustment_months as integer)')) }} as period
    from settings
    cross join build_context

),

compared as (

    select
        coalesce(fingerprints.contract_id, last_rated.contract_id) as contract_id,
        coalesce(fingerprints.period, last_rated.period) as period,
        fingerprints.fingerprint as fingerprint_now,
        last_rated.fingerprint as fingerprint_rated,
        last_rated.rules as rules_rated,
        last_rated.contract_id is null as is_new,
        coalesce(last_rated.is_due, false) as was_due,
        last_rated.run_no as run_no_rated
    from fingerprints
    full outer join last_rated
        on
            fingerprints.contract_id = last_rated.contract_id
            and fingerprints.period = last_rated.period

),

judged as (

    select
        compared.contract_id,
        compared.period,
        compared.fingerprint_now,
        compared.fingerprint_rated,
        compared.rules_rated,
        compared.run_no_rated,
        this_run.run_no,
        build_context.rules as rules_now,
        compared.is_new
        or compared.was_due
        or compared.rules_rated != build_context.rules
        or coalesce(compared.period = build_context.also_period, false)
        or (
            coalesce(compared.period >= first_adjustable.period, true)
            and coalesce(compared.fingerprint_now, '') != coalesce(compared.fingerprint_rated, '')
        ) as is_due
    from compared
    cross join build_context
    cross join first_adjustable
    cross join this_run

)

select
    contract_id,
    period,
    case when is_due then fingerprint_now else fingerprint_rated end as fingerprint,
    case when is_due then rules_now else rules_rated end as rules,
    is_due,
    case when is_due then run_no else run_no_rated end as run_no
from judged
