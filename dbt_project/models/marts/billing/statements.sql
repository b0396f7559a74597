with statements as (

    select
        statement_id,
        period,
        statement_kind,
        payer_id,
        currency,
        lines,
        net,
        tax,
        total,
        content_hash,
        has_code_adjustments
    from {{ ref('int_billing__statements') }}

),

statement_lines as (

    select
        statement_id,
        period,
        contract_id,
        site_id
    from {{ ref('int_billing__statement_lines') }}

),

coverage as (

    select
        contract_id,
        period,
        site_id,
        occupied_us,
        missing_us,
        estimated_us
    from {{ ref('int_billing__coverage') }}

),

segments as (

    select
        contract_id,
        period,
        period_start,
        period_end
    from {{ ref('int_billing__segments') }}

),

landed as (

    select newest_landed_at
    from {{ ref('int_metering__range') }}

),

projections as (

    select
        statement_id,
        projected_net,
        projected_tax
    from {{ ref('int_billing__statement_projections') }}

),

exceptions as (

    select
        statement_id,
        severity,
        period,
        contract_id,
        site_id,
        status
    from {{ ref('int_billing__exceptions') }}

),

payers as (

    select
        payer_id,
        auto_approve_limit,
        minor_units,
        seller_id
    from {{ source('book', 'payers') }}

),

settings as (

    select tolerance_percent
    from {{ source('book', 'settings') }}

),

book_info as (

    select book_version
    from {{ source('book', 'book_info') }}

),

build_context as (

    select now_at
    from {{ source('context', 'build_context') }}

),

issued_statements as (

    select
        statement_id,
        statement_number,
        series_no,
        period,
        statement_kind,
        payer_id,
        seller_id,
        total,
        content_hash,
        book_version,
        issue_date,
        due_date,
        issued_at
    from {{ source('ledger', 'issued_statements') }}

),

approvals as (

    select
        statement_id,
        content_hash,
        approved_by,
        approved_at
    from {{ source('ledger', 'approvals') }}

),

places as (

    select distinct
        statement_id,
        period,
        contract_id,
        site_id
    from statement_lines

),

statement_coverage as (

    select
        places.statement_id,
        sum(coverage.occupied_us) as occupied_us,
        least(sum(coverage.missing_us + coverage.estimated_us), sum(coverage.occupied_us)) as doubtful_us
    from places
    inner join coverage
        on
            places.contract_id = coverage.contract_id
            and places.period = coverage.period
            and places.site_id = coverage.site_id
    group by places.statement_id

),

-- A statement without lines has the contracts of what holds it back.
statement_contracts as (

    select
        statement_id,
        period,
        contract_id
    from places
    union
    select
        statement_id,
        period,
        contract_id
    from exceptions
    where statement_id is not null

),

period_ends as (

    select
        statement_contracts.statement_id,
        min(segments.period_start) as period_start,
        max(segments.period_end) as period_end
    from statement_contracts
    inner join segments
        on
            statement_contracts.contract_id = segments.contract_id
            and statement_contracts.period = segments.period
    group by statement_contracts.statement_id

),

-- What somebody resolved holds nothing back any more; that somebody did is a reason to look.
blocking as (

    select
        statement_id,
        count(*) filter (where status != 'resolved') as blocking_exceptions,
        count(*) filter (where status = 'resolved') as resolved_exceptions
    from exceptions
    where severity = 'blocking'
    group by statement_id

),

warnings as (

    select
        places.statement_id,
        count(*) as warnings
    from places
    inner join exceptions
        on
            places.contract_id = exceptions.contract_id
            and places.period = exceptions.period
            and places.site_id = exceptions.site_id
            and exceptions.severity = 'warning'
    group by places.statement_id

),

-- The last three issued totals before the period, of the same payer and group.
earlier_totals as (

    select
        statements.statement_id,
        issued_statements.total
    from statements
    inner join issued_statements
        on
            statements.payer_id = issued_statements.payer_id
            and statements.statement_kind = issued_statements.statement_kind
            and split_part(statements.statement_id, '/', 3) = split_part(issued_statements.statement_id, '/', 3)
            and statements.period > issued_statements.period
    where statements.statement_kind = 'consolidated'
    qualify row_number() over (
        partition by statements.statement_id
        order by issued_statements.period desc, issued_statements.series_no desc
    ) <= 3

),

medians as (

    select
        statement_id,
        -- The middle one of three.
        sum(total) - min(total) - max(total) as median_total
    from earlier_totals
    group by statement_id
    having count(*) = 3

),

approved as (

    select
        statements.statement_id,
        max_by(approvals.approved_by, approvals.approved_at) as approved_by,
        max(approvals.approved_at) as approved_at
    from statements
    left join issued_statements
        on statements.statement_id = issued_statements.statement_id
    inner join approvals
        on
            statements.statement_id = approvals.statement_id
            and coalesce(issued_statements.content_hash, statements.content_hash) = approvals.content_hash
    group by statements.statement_id

),

judged as (

    select
        statements.period,
        statements.statement_id,
        statements.statement_kind,
        statements.payer_id,
        coalesce(issued_statements.seller_id, payers.seller_id) as seller_id,
        statements.currency,
        statements.lines,
        statements.net,
        statements.tax,
        statements.total,
        coalesce(issued_statements.content_hash, statements.content_hash) as content_hash,
        coalesce(blocking.blocking_exceptions, 0) as blocking_exceptions,
        coalesce(blocking.resolved_exceptions, 0) as resolved_exceptions,
        coalesce(warnings.warnings, 0) as warnings,
        coalesce({{ divide_round('statement_coverage.doubtful_us', 0, 'statement_coverage.occupied_us', 0, 4) }}, 0)
            as missing_or_estimated_share,
        coalesce(statement_coverage.doubtful_us, 0) * 20 > coalesce(statement_coverage.occupied_us, 0) as is_poorly_measured,
        payers.auto_approve_limit,
        coalesce(payers.minor_units, 2) as minor_units,
        settings.tolerance_percent,
        medians.median_total,
        abs(statements.total - medians.median_total) * 100 > settings.tolerance_percent * abs(medians.median_total) as is_unusual,
        statements.has_code_adjustments,
        approved.statement_id is not null as is_approved,
        approved.approved_by,
        approved.approved_at,
        period_ends.period_end <= build_context.now_at as is_over,
        case when period_ends.period_start < landed.newest_landed_at then least(period_ends.period_end, landed.newest_landed_at) end
            as measured_until,
        case when issued_statements.statement_id is null then coalesce(projections.projected_net, statements.net) else statements.net end
            as projected_net,
        case when issued_statements.statement_id is null then coalesce(projections.projected_tax, statements.tax) else statements.tax end
            as projected_tax,
        issued_statements.statement_number,
        issued_statements.issue_date,
        issued_statements.due_date,
        issued_statements.issued_at,
        coalesce(issued_statements.book_version, book_info.book_version) as book_version
    from statements
    cross join settings
    cross join book_info
    cross join build_context
    cross join landed
    left join payers
        on statements.payer_id = payers.payer_id
    left join issued_statements
        on statements.statement_id = issued_statements.statement_id
    left join statement_coverage
        on statements.statement_id = statement_coverage.statement_id
    left join period_ends
        on statements.statement_id = period_ends.statement_id
    left join projections
        on statements.statement_id = projections.statement_id
    left join blocking
        on statements.statement_id = blocking.statement_id
    left join warnings
        on statements.statement_id = warnings.statement_id
    left join medians
        on statements.statement_id = medians.statement_id
    left join approved
        on statements.statement_id = approved.statement_id

),

reasoned as (

    select
        period,
        statement_id,
        statement_kind,
        payer_id,
        seller_id,
        currency,
        lines,
        net,
        tax,
        total,
        content_hash,
        blocking_exceptions,
        warnings,
        missing_or_estimated_share,
        auto_approve_limit,
        minor_units,
        tolerance_percent,
        median_total,
        is_approved,
        approved_by,
        approved_at,
        is_over,
        measured_until,
        projected_net,
        projected_tax,
        statement_number,
        issue_date,
        due_date,
        issued_at,
        book_version,
        concat_ws(
            '; ',
            case
                when resolved_exceptions = 1 then 'a blocking exception was resolved by hand'
                when resolved_exceptions > 1 then resolved_exceptions || ' blocking exceptions were resolved by hand'
            end,
            case
                when has_code_adjustments
                    then 'a new version of the program rates issued periods differently'
            end,
            case
                when auto_approve_limit is null
                    then 'payer ' || payer_id || ' has no auto_approve_limit, so a person approves every statement'
            end,
            case
                when total > auto_approve_limit
                    then
                        'the total of ' || {{ money_in_words('total', 'currency', 'minor_units') }} || ' is above the limit of '
                        || {{ money_in_words('auto_approve_limit', 'currency', 'minor_units') }}
            end,
            case
                when is_unusual
                    then
                        'the total of ' || {{ money_in_words('total', 'currency', 'minor_units') }} || ' differs by more than '
                        || {{ number_in_words('tolerance_percent') }} || ' % from '
                        || {{ money_in_words('median_total', 'currency', 'minor_units') }} || ', the median of the last three'
            end,
            case
                when is_poorly_measured
                    then
                        'more than 5 % of its machine-hours are missing or estimated ('
                        || {{ number_in_words(exact_product('missing_or_estimated_share', 4, '100', 0)) }} || ' %)'
            end
        ) as reasons
    from judged

)

select
    period,
    statement_id,
    statement_kind,
    payer_id,
    seller_id,
    currency,
    lines,
    net,
    tax,
    total,
    content_hash,
    cast(blocking_exceptions as integer) as blocking_exceptions,
    cast(warnings as integer) as warnings,
    cast(missing_or_estimated_share as decimal(9, 4)) as missing_or_estimated_share,
    case
        when blocking_exceptions > 0 then 'blocked'
        when reasons != '' then 'needs_approval'
        else 'auto'
    end as decision,
    case
        when blocking_exceptions = 1 then '1 blocking exception'
        when blocking_exceptions > 1 then blocking_exceptions || ' blocking exceptions'
        when reasons != '' then reasons
        when median_total is null then 'within the limit of ' || {{ money_in_words('auto_approve_limit', 'currency', 'minor_units') }}
        else
            'within the limit of ' || {{ money_in_words('auto_approve_limit', 'currency', 'minor_units') }} || ' and within '
            || {{ number_in_words('tolerance_percent') }} || ' % of ' || {{ money_in_words('median_total', 'currency', 'minor_units') }}
            || ', the median of the last three'
    end as decision_reason,
    is_approved,
    approved_by,
    approved_at,
    case
        when statement_number is not null then 'issued'
        when is_approved and blocking_exceptions = 0 then 'approved'
        when coalesce(is_over, false) then 'review'
        else 'open'
    end as state,
    statement_number,
    issue_date,
    due_date,
    issued_at,
    book_version,
    measured_until,
    case when abs(projected_net) < 10000000000000000 then cast(projected_net as decimal(18, 2)) end as projected_net,
    case
        when abs(projected_net + projected_tax) < 10000000000000000 then cast(projected_net + projected_tax as decimal(18, 2))
    end as projected_total
from reasoned
