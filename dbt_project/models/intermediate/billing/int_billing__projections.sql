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
        plan_minor_units
    from {{ ref('int_billing__segments') }}

),

landed as (

    select newest_landed_at
    from {{ ref('int_metering__range') }}

),

lines as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        charge_model,
        classification,
        site_id,
        band,
        amount
    from {{ ref('int_rating__lines') }}
    where amount is not null

),

charges as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        percent,
        max_amount
    from {{ ref('int_rating__segment_charges') }}

),

bases as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        base_code,
        is_site_limited,
        site_id
    from {{ ref('int_rating__bases') }}

),

destinations as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        charge_code,
        minor_units,
        fx_rate
    from {{ ref('int_billing__destinations') }}

),

charge_lines as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        band,
        line_key,
        amount,
        tax_rate_percent
    from {{ ref('int_billing__charge_lines') }}
    where amount is not null

),

-- Where the month is under way. A segment that has ended inside it, or begins later, is as long as it will be.
running as (

    select
        segments.contract_id,
        segments.term_no,
        segments.period,
        segments.plan_id,
        segments.plan_minor_units,
        cast(segments.segment_us as hugeint) as segment_us,
        cast(
            case
                when segments.segment_start < landed.newest_landed_at and landed.newest_landed_at < segments.segment_end
                    then {{ us('landed.newest_landed_at') }} - {{ us('segments.segment_start') }}
                else segments.segment_us
            end as hugeint
        ) as measured_us
    from segments
    inner join landed
        on
            segments.period_start < landed.newest_landed_at
            and segments.period_end > landed.newest_landed_at

),

open_lines as (

    select
        lines.contract_id,
        lines.term_no,
        lines.period,
        lines.charge_code,
        lines.charge_model,
        lines.classification,
        lines.site_id,
        lines.band,
        lines.amount,
        running.plan_id,
        running.plan_minor_units,
        running.measured_us,
        running.segment_us
    from lines
    inner join running
        on
            lines.contract_id = running.contract_id
            and lines.term_no = running.term_no
            and lines.period = running.period

),

-- In whole minor units, so that the one rounding is that of the plan's currency.
extended as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        band,
        classification,
        amount,
        cast({{ divide_nearest(
            '(' ~ scaled_integer('amount', 2) ~ ' * segment_us)',
            '(measured_us * case plan_minor_units when 0 then 100 when 1 then 10 else 1 end)'
        ) }} as decimal(38, 0)) * case plan_minor_units when 0 then 1.00 when 1 then 0.10 else 0.01 end as projected
    from open_lines
    where charge_model in ('per_unit', 'graduated', 'volume', 'package', 'stairstep', 'time_of_use', 'index')

),

-- What would not fit into an amount any more is no projection.
of_usage as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        band,
        classification,
        amount,
        cast(case when abs(projected) < 10000000000000 then projected else amount end as decimal(38, 2)) as projected
    from extended

),

first_group as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        band,
        classification,
        amount,
        projected
    from of_usage
    union all
    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        band,
        classification,
        amount,
        cast(amount as decimal(38, 2)) as projected
    from open_lines
    where charge_model in ('demand', 'recurring', 'pass_through')

),

percentage_bases as (

    select
        bases.contract_id,
        bases.term_no,
        bases.period,
        bases.charge_code,
        first_group.site_id,
        cast(sum(first_group.projected) as decimal(38, 2)) as projected
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
        open_lines.contract_id,
        open_lines.term_no,
        open_lines.period,
        open_lines.charge_code,
        open_lines.site_id,
        open_lines.band,
        open_lines.classification,
        open_lines.amount,
        cast({{ to_minor_unit(
            exact_product('percentage_bases.projected', 2, exact_product('charges.percent', 4, '0.01', 2), 6), 'open_lines.plan_minor_units'
        ) }} as decimal(38, 2)) as projected
    from open_lines
    inner join charges
        on
            open_lines.contract_id = charges.contract_id
            and open_lines.term_no = charges.term_no
            and open_lines.period = charges.period
            and open_lines.charge_code = charges.charge_code
    inner join percentage_bases
        on
            open_lines.contract_id = percentage_bases.contract_id
            and open_lines.term_no = percentage_bases.term_no
            and open_lines.period = percentage_bases.period
            and open_lines.charge_code = percentage_bases.charge_code
            and open_lines.site_id is not distinct from percentage_bases.site_id
    where open_lines.charge_model = 'percentage'

),

second_group as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        classification,
        projected
    from first_group
    union all
    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        classification,
        projected
    from percentages

),

discount_bases as (

    select
        bases.contract_id,
        bases.term_no,
        bases.period,
        bases.charge_code,
        second_group.site_id,
        cast(sum(second_group.projected) as decimal(38, 2)) as projected
    from bases
    inner join second_group
        on
            bases.contract_id = second_group.contract_id
            and bases.term_no = second_group.term_no
            and bases.period = second_group.period
            and bases.base_code = second_group.charge_code
            and (not bases.is_site_limited or bases.site_id = second_group.site_id)
    where second_group.classification != 'exception'
    group by bases.contract_id, bases.term_no, bases.period, bases.charge_code, second_group.site_id

),

uncapped as (

    select
        open_lines.contract_id,
        open_lines.term_no,
        open_lines.period,
        open_lines.charge_code,
        open_lines.site_id,
        open_lines.band,
        open_lines.classification,
        open_lines.amount,
        open_lines.plan_id,
        {{ to_minor_unit('charges.max_amount', 'open_lines.plan_minor_units') }} as max_amount,
        {{ to_minor_unit(
            exact_product('discount_bases.projected', 2, exact_product('charges.percent', 4, '0.01', 2), 6), 'open_lines.plan_minor_units'
        ) }} as discount
    from open_lines
    inner join charges
        on
            open_lines.contract_id = charges.contract_id
            and open_lines.term_no = charges.term_no
            and open_lines.period = charges.period
            and open_lines.charge_code = charges.charge_code
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
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        band,
        classification,
        amount,
        discount,
        max_amount,
        sum(discount) over (
            partition by contract_id, period, plan_id, charge_code
            order by
                contract_id || '/' || period || '/' || term_no || '/' || charge_code || '/' || coalesce(site_id, '-') || '/-'
            rows unbounded preceding
        ) as discount_so_far
    from uncapped

),

discounts as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        band,
        classification,
        amount,
        cast(
            case
                when max_amount is null then -discount
                else least(discount_so_far - discount, max_amount) - least(discount_so_far, max_amount)
            end as decimal(38, 2)
        ) as projected
    from so_far

),

before_commits as (

    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        band,
        classification,
        amount,
        projected
    from first_group
    union all
    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        band,
        classification,
        amount,
        projected
    from percentages
    union all
    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        band,
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
        cast(sum(before_commits.projected - before_commits.amount) as decimal(38, 2)) as growth
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
        open_lines.contract_id,
        open_lines.term_no,
        open_lines.period,
        open_lines.charge_code,
        open_lines.site_id,
        open_lines.band,
        open_lines.classification,
        open_lines.amount,
        greatest(cast(open_lines.amount as decimal(38, 2)) - coalesce(commit_growth.growth, 0), 0) as projected
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
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        band,
        amount,
        projected
    from before_commits
    union all
    select
        contract_id,
        term_no,
        period,
        charge_code,
        site_id,
        band,
        amount,
        cast(projected as decimal(38, 2)) as projected
    from commits

),

converted as (

    select
        projected_lines.contract_id,
        projected_lines.term_no,
        projected_lines.period,
        projected_lines.charge_code,
        projected_lines.site_id,
        projected_lines.band,
        projected_lines.amount as plan_amount,
        projected_lines.projected as projected_plan_amount,
        charge_lines.line_key,
        charge_lines.tax_rate_percent,
        destinations.minor_units,
        case
            when abs({{ exact_product('projected_lines.projected', 2, 'destinations.fx_rate', 12) }}) < 10000000000000
                then
                    {{ to_minor_unit(
                        exact_product('projected_lines.projected', 2, 'destinations.fx_rate', 12), 'destinations.minor_units'
                    ) }}
            else charge_lines.amount
        end as projected_amount
    from projected_lines
    left join destinations
        on
            projected_lines.contract_id = destinations.contract_id
            and projected_lines.term_no = destinations.term_no
            and projected_lines.period = destinations.period
            and projected_lines.site_id is not distinct from destinations.site_id
            and projected_lines.charge_code is not distinct from destinations.charge_code
    left join charge_lines
        on
            projected_lines.contract_id = charge_lines.contract_id
            and projected_lines.term_no = charge_lines.term_no
            and projected_lines.period = charge_lines.period
            and projected_lines.charge_code = charge_lines.charge_code
            and projected_lines.site_id is not distinct from charge_lines.site_id
            and projected_lines.band is not distinct from charge_lines.band

)

select
    contract_id,
    term_no,
    period,
    charge_code,
    site_id,
    band,
    plan_amount,
    projected_plan_amount,
    line_key,
    case when line_key is not null then projected_amount end as projected_amount,
    case
        when line_key is not null
            then
                {{ to_minor_unit(
                    exact_product('projected_amount', 2, exact_product('tax_rate_percent', 4, '0.01', 2), 6), 'minor_units'
                ) }}
    end as projected_tax_amount
from converted
