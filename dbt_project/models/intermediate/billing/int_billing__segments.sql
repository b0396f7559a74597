with contract_terms as (

    select
        contract_id,
        term_no,
        customer_id,
        payer_id,
        plan_id,
        billing_timezone,
        valid_from_at,
        valid_to_at,
        po_number,
        first_month
    from {{ source('book', 'contract_terms') }}

),

plans as (

    select
        plan_id,
        currency,
        minor_units
    from {{ source('book', 'plans') }}

),

plan_versions as (

    select
        plan_id,
        version,
        valid_from_month,
        valid_to_month
    from {{ source('book', 'plan_versions') }}

),

periods as (

    select
        billing_timezone,
        period,
        period_start,
        period_end
    from {{ ref('int_billing__periods') }}

),

shared_spans as (

    select
        contract_terms.contract_id,
        contract_terms.term_no,
        contract_terms.customer_id,
        contract_terms.payer_id,
        contract_terms.plan_id,
        contract_terms.billing_timezone,
        contract_terms.po_number,
        contract_terms.first_month,
        periods.period,
        periods.period_start,
        periods.period_end,
        greatest(contract_terms.valid_from_at, periods.period_start) as segment_start,
        least(coalesce(contract_terms.valid_to_at, periods.period_end), periods.period_end) as segment_end
    from contract_terms
    inner join periods
        on
            contract_terms.billing_timezone = periods.billing_timezone
            and contract_terms.valid_from_at < periods.period_end
            and (contract_terms.valid_to_at is null or contract_terms.valid_to_at > periods.period_start)

)

select
    shared_spans.contract_id,
    shared_spans.term_no,
    shared_spans.period,
    shared_spans.segment_start,
    shared_spans.segment_end,
    shared_spans.period_start,
    shared_spans.period_end,
    {{ us('shared_spans.segment_end') }} - {{ us('shared_spans.segment_start') }} as segment_us,
    {{ us('shared_spans.period_end') }} - {{ us('shared_spans.period_start') }} as period_us,
    shared_spans.customer_id,
    shared_spans.payer_id,
    shared_spans.plan_id,
    plan_versions.version as plan_version,
    plans.currency as plan_currency,
    plans.minor_units as plan_minor_units,
    shared_spans.billing_timezone,
    shared_spans.po_number,
    cast(
        (cast(substr(shared_spans.period, 1, 4) as integer) - cast(substr(shared_spans.first_month, 1, 4) as integer)) * 12
        + cast(substr(shared_spans.period, 6, 2) as integer) - cast(substr(shared_spans.first_month, 6, 2) as integer)
        + 1 as integer
    ) as contract_month_no
from shared_spans
inner join plans
    on shared_spans.plan_id = plans.plan_id
inner join plan_versions
    on
        shared_spans.plan_id = plan_versions.plan_id
        and shared_spans.period >= plan_versions.valid_from_month
        and (plan_versions.valid_to_month is null or shared_spans.period < plan_versions.valid_to_month)
