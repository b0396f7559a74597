with segments as (

    select
        contract_id,
        term_no,
        period,
        segment_start,
        segment_end,
        segment_us,
        period_start,
        period_end,
        plan_id,
        plan_version,
        plan_minor_units
    from {{ ref('int_billing__segments') }}

),

landed as (

    select newest_landed_at
    from {{ ref('int_metering__range') }}

),

charge_lines as (

    select
        line_key,
        contract_id,
        term_no,
        period,
        charge_code,
        charge_model,
        classification,
        site_id,
        plan_amount,
        amount,
        fx_rate,
        minor_units,
        tax_rate_percent
    from {{ ref('int_billing__charge_lines') }}
    where plan_amount is not null

),

charges as (

    select
        plan_id,
        version,
        code,
        percent,
        max_amount,
        is_site_limited
    from {{ source('book', 'charges') }}

),

charge_bases as (

    select
        plan_id,
        version,
        code,
        base_code
    from {{ source('book', 'charge_bases') }}

),

charge_sites as (

    select
        plan_id,
        version,
        code,
        site_id
    from {{ source('book', 'charge_sites') }}

),

-- Where the month is under way. A segment that has ended inside it, or begins later, is as long as it will be.
running as (

    select
        segments.contract_id,
        segments.term_no,
        segments.period,
        segments.plan_id,
        segments.plan_version,
        segments.plan_minor_units,
        segments.segment_us,
        case
            when segments.segment_start < landed.newest_landed_at and landed.newest_landed_at < segments.segment_end
                then {{ us('landed.newest_landed_at') }} - {{ us('segments.segment_start') }}
            else segments.segment_us
        end as measured_us
    from segments
    inner join landed
        on
            segments.period_start < landed.newest_landed_at
            and segments.period_end > landed.newest_landed_at

),

bases as (

    select
        running.contract_id,
        running.term_no,
        running.period,
        charges.code as charge_code,
        charge_bases.base_code,
        charges.is_site_limited,
        case when charges.is_site_limited then charge_sites.site_id end as site_id
    from running
    inner join charges
        on
            running.plan_id = charges.plan_id
            and running.plan_version = charges.version
    inner join charge_bases
        on
            charges.plan_id = charge_bases.plan_id
            and charges.version = charge_bases.version
            and charges.code = charge_bases.code
    left join charge_sites
        on
            charges.is_site_limited
            and charges.plan_id = charge_sites.plan_id
            and charges.version = charge_sites.version
            and charges.code = charge_sites.code

),

open_lines as (

    select
        charge_lines.line_key,
        charge_lines.contract_id,
        charge_lines.term_no,
        charge_lines.period,
        charge_lines.charge_code,
        charge_lines.charge_model,
        charge_lines.classification,
        charge_lines.site_id,
        charge_lines.plan_amount as amount,
        charges.percent,
        charges.max_amount,
        running.plan_id,
        running.plan_minor_units,
        running.measured_us,
        running.segment_us
    from charge_lines
    inner join running
        on
            charge_lines.contract_id = running.contract_id
            and charge_lines.term_no = running.term_no
            and charge_lines.period = running.period
    inner join charges
        on
            running.plan_id = charges.plan_id
            and running.plan_version = charges.version
            and charge_lines.charge_code = charges.code

),

-- What no line could hold is no projection: the line stands as it is.
first_group as (

    select
        line_key,
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        classification,
        amount,
        case
            when charge_model in ('demand', 'recurring', 'pass_through') then amount
            else coalesce({{ null_on_overflow(share_of_money('amount', 'segment_us', 'measured_us', 'plan_minor_units'), 'decimal(18, 2)') }}, amount)
        end as projected
    from open_lines
    where charge_model not in ('percentage', 'discount', 'minimum_commit')

),

percentage_bases as (

    select
        bases.contract_id,
        bases.term_no,
        bases.period,
        bases.charge_code,
        first_group.site_id,
        cast(sum(first_group.projected) as decimal(38, 2)) as base
    from bases
    inner join first_group
        on
            bases.contract_id = first_group.contract_id
            and bases.term_no = first_group.term_no
            and bases.period = first_group.period
            and bases.base_code = first_group.charge_code
            and (not bases.is_site_limited or bases.site_id = first_group.site_id)
    where first_group.classification != 'exception'
    group by bases.contract_id, bases.term_no, bases.period, bases.charge_code, first_group.site_id

),

percentages as (

    select
        open_lines.line_key,
        open_lines.contract_id,
        open_lines.term_no,
        open_lines.period,
        open_lines.charge_code,
        open_lines.site_id,
        open_lines.classification,
        open_lines.amount,
        coalesce({{ line_amount(
            exact_product('percentage_bases.base', 2, exact_product('open_lines.percent', 4, '0.01', 2), 6), 'open_lines.plan_minor_units'
        ) }}, open_lines.amount) as projected
    from open_lines
    inner join percentage_bases
        on
            open_lines.contract_id = percentage_bases.contract_id
            and open_lines.term_no = percentage_bases.term_no
            and open_lines.period = percentage_bases.period
            and open_lines.charge_code = percentage_bases.charge_code
            and open_lines.site_id is not distinct from percentage_bases.site_id
    where open_lines.charge_model = 'percentage'

),

first_two_groups as (

    select
        line_key,
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        classification,
        amount,
        projected
    from first_group
    union all
    select
        line_key,
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        classification,
        amount,
        projected
    from percentages

),

discount_bases as (

    select
        bases.contract_id,
        bases.term_no,
        bases.period,
        bases.charge_code,
        first_two_groups.site_id,
        cast(sum(first_two_groups.projected) as decimal(38, 2)) as base
    from bases
    inner join first_two_groups
        on
            bases.contract_id = first_two_groups.contract_id
            and bases.term_no = first_two_groups.term_no
            and bases.period = first_two_groups.period
            and bases.base_code = first_two_groups.charge_code
            and (not bases.is_site_limited or bases.site_id = first_two_groups.site_id)
    where first_two_groups.classification != 'exception'
    group by bases.contract_id, bases.term_no, bases.period, bases.charge_code, first_two_groups.site_id

),

uncapped as (

    select
        open_lines.line_key,
        open_lines.contract_id,
        open_lines.term_no,
        open_lines.period,
        open_lines.charge_code,
        open_lines.site_id,
        open_lines.classification,
        open_lines.amount,
        open_lines.plan_id,
        {{ to_minor_unit('open_lines.max_amount', 'open_lines.plan_minor_units') }} as max_amount,
        coalesce({{ line_amount(
            exact_product('discount_bases.base', 2, exact_product('open_lines.percent', 4, '0.01', 2), 6), 'open_lines.plan_minor_units'
        ) }}, -open_lines.amount) as discount
    from open_lines
    inner join discount_bases
        on
            open_lines.contract_id = discount_bases.contract_id
            and open_lines.term_no = discount_bases.term_no
            and open_lines.period = discount_bases.period
            and open_lines.charge_code = discount_bases.charge_code
            and open_lines.site_id is not distinct from discount_bases.site_id
    where open_lines.charge_model = 'discount'

),

-- The cap is shared as int_rating__discount shares it: by segments of the plan, in bytewise order of line_key.
so_far as (

    select
        line_key,
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        classification,
        amount,
        discount,
        max_amount,
        sum(discount) over (
            partition by contract_id, period, plan_id, charge_code
            order by line_key
            rows unbounded preceding
        ) as discount_so_far
    from uncapped

),

discounts as (

    select
        line_key,
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        classification,
        amount,
        cast(
            case
                when max_amount is null then -discount
                else least(discount_so_far - discount, max_amount) - least(discount_so_far, max_amount)
            end as decimal(18, 2)
        ) as projected
    from so_far

),

before_commits as (

    select
        line_key,
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        classification,
        amount,
        projected
    from first_two_groups
    union all
    select
        line_key,
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        classification,
        amount,
        projected
    from discounts

),

commit_growth as (

    select
        bases.contract_id,
        bases.term_no,
        bases.period,
        bases.charge_code,
        cast(sum(before_commits.projected) - sum(before_commits.amount) as decimal(38, 2)) as growth
    from bases
    inner join before_commits
        on
            bases.contract_id = before_commits.contract_id
            and bases.term_no = before_commits.term_no
            and bases.period = before_commits.period
            and bases.base_code = before_commits.charge_code
            and (not bases.is_site_limited or bases.site_id = before_commits.site_id)
    where before_commits.classification != 'exception'
    group by bases.contract_id, bases.term_no, bases.period, bases.charge_code

),

commits as (

    select
        open_lines.line_key,
        open_lines.contract_id,
        open_lines.term_no,
        open_lines.period,
        open_lines.charge_code,
        open_lines.site_id,
        open_lines.classification,
        open_lines.amount,
        cast(
            greatest(cast(open_lines.amount as decimal(38, 2)) - coalesce(commit_growth.growth, 0), 0) as decimal(38, 2)
        ) as projected
    from open_lines
    left join commit_growth
        on
            open_lines.contract_id = commit_growth.contract_id
            and open_lines.term_no = commit_growth.term_no
            and open_lines.period = commit_growth.period
            and open_lines.charge_code = commit_growth.charge_code
    where open_lines.charge_model = 'minimum_commit'

),

projected_lines as (

    select
        line_key,
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        classification,
        amount,
        projected
    from before_commits
    union all
    select
        line_key,
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        classification,
        amount,
        projected
    from commits

),

converted as (

    select
        projected_lines.line_key,
        projected_lines.contract_id,
        projected_lines.period,
        projected_lines.amount as plan_amount,
        projected_lines.projected as projected_plan_amount,
        charge_lines.tax_rate_percent,
        charge_lines.minor_units,
        coalesce(
            {{ line_amount(exact_product('projected_lines.projected', 2, 'charge_lines.fx_rate', 12), 'charge_lines.minor_units') }},
            charge_lines.amount
        ) as projected_amount
    from projected_lines
    inner join charge_lines
        on projected_lines.line_key = charge_lines.line_key

)

select
    line_key,
    contract_id,
    period,
    plan_amount,
    projected_plan_amount,
    projected_amount,
    {{ to_minor_unit(
        exact_product('projected_amount', 2, exact_product('tax_rate_percent', 4, '0.01', 2), 6), 'minor_units'
    ) }} as projected_tax_amount
from converted
