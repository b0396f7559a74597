-- What the ledger tells was made into sentences where `m2c story` makes them; what only the warehouse knows is told here.
with story_events as (

    select
        seq,
        statement_id,
        exception_id,
        happened_at,
        who,
        kind,
        words,
        source_table,
        source_row_id
    from {{ source('ledger', 'story_events') }}

),

issued_statements as (

    select
        statement_id,
        statement_number,
        issued_at
    from {{ source('ledger', 'issued_statements') }}

),

statement_lines as (

    select distinct
        statement_id,
        contract_id,
        coalesce(adjusts_period, period) as period,
        site_id,
        charge_model
    from {{ ref('int_billing__statement_lines') }}

),

segments as (

    select
        contract_id,
        period,
        segment_start,
        segment_end
    from {{ ref('int_billing__segments') }}

),

usage_batches as (

    select
        site_id,
        usage_date,
        contract_id,
        batch_id,
        ingested_at,
        readings
    from {{ ref('usage_batches') }}

),

billing_exceptions as (

    select
        exception_id,
        period,
        site_id,
        contract_id,
        statement_id,
        detail
    from {{ ref('billing_exceptions') }}

),

-- A month of a contract touches these UTC days.
contract_days as (

    select
        contract_id,
        period,
        {{ utc_date('min(segment_start)') }} as first_day,
        {{ utc_date('max(segment_end) - interval 1 microsecond') }} as last_day
    from segments
    group by contract_id, period

),

metered_places as (

    select distinct
        statement_id,
        contract_id,
        period,
        site_id
    from statement_lines
    where
        site_id is not null
        and charge_model in ('per_unit', 'graduated', 'volume', 'package', 'stairstep', 'time_of_use', 'index', 'demand')

),

batches as (

    select
        metered_places.statement_id,
        metered_places.site_id,
        usage_batches.batch_id,
        usage_batches.ingested_at,
        coalesce(usage_batches.ingested_at > issued_statements.issued_at, false) as is_late,
        sum(usage_batches.readings) as readings
    from metered_places
    inner join contract_days
        on
            metered_places.contract_id = contract_days.contract_id
            and metered_places.period = contract_days.period
    inner join usage_batches
        on
            metered_places.contract_id = usage_batches.contract_id
            and metered_places.site_id = usage_batches.site_id
            and contract_days.first_day <= usage_batches.usage_date
            and contract_days.last_day >= usage_batches.usage_date
    left join issued_statements
        on metered_places.statement_id = issued_statements.statement_id
    group by
        metered_places.statement_id,
        metered_places.site_id,
        usage_batches.batch_id,
        usage_batches.ingested_at,
        issued_statements.issued_at

),

landed as (

    select
        statement_id,
        site_id,
        is_late,
        count(*) as batches,
        cast(sum(readings) as bigint) as readings,
        min(ingested_at) as first_at,
        max(ingested_at) as last_at
    from batches
    group by statement_id, site_id, is_late

),

landed_events as (

    select
        statement_id,
        cast(0 as bigint) as seq,
        last_at as happened_at,
        'landing zone' as who,
        case when is_late then 'late_readings' else 'readings' end as kind,
        case when is_late then 'late readings of ' else 'readings of ' end || site_id || ': '
        || {{ with_thousands('readings') }} || case readings when 1 then ' counts' else ' count' end || ', from '
        || batches || case batches when 1 then ' batch' else ' batches' end || ' landed '
        || case
            when first_at = last_at then {{ instant_in_words('last_at') }}
            else {{ instant_in_words('first_at') }} || ' to ' || {{ instant_in_words('last_at') }}
        end
        || case when is_late then ', after it was issued: what they change is an adjustment' else '' end as words,
        'usage_batches' as source_table,
        cast(null as bigint) as source_row_id
    from landed

),

-- An exception belongs to the statement that it names, else to those that have lines of its contract, month and site.
exception_statements as (

    select
        exception_id,
        statement_id,
        detail
    from billing_exceptions
    where statement_id is not null
    union
    select
        billing_exceptions.exception_id,
        statement_lines.statement_id,
        billing_exceptions.detail
    from billing_exceptions
    inner join statement_lines
        on
            billing_exceptions.contract_id = statement_lines.contract_id
            and billing_exceptions.period = statement_lines.period
            and (
                billing_exceptions.site_id is null
                or statement_lines.site_id is null
                or billing_exceptions.site_id = statement_lines.site_id
            )
    where billing_exceptions.statement_id is null

),

settled_exceptions as (

    select
        exception_statements.statement_id,
        cast(0 as bigint) as seq,
        story_events.happened_at,
        story_events.who,
        story_events.kind,
        story_events.words || ' (' || exception_statements.detail || ')' as words,
        story_events.source_table,
        story_events.source_row_id
    from story_events
    inner join exception_statements
        on story_events.exception_id = exception_statements.exception_id

),

-- Facts stand as they were written down, whatever the clock did meanwhile; what the warehouse tells stands among them by its time.
ledger_events as (

    select
        statement_id,
        seq,
        happened_at,
        who,
        kind,
        words,
        source_table,
        source_row_id,
        max(happened_at) over (
            partition by statement_id
            order by seq
            rows unbounded preceding
        ) as placed_at
    from story_events
    where statement_id is not null

),

events as (

    select
        statement_id,
        seq,
        happened_at,
        who,
        kind,
        words,
        source_table,
        source_row_id,
        placed_at
    from ledger_events
    union all
    select
        statement_id,
        seq,
        happened_at,
        who,
        kind,
        words,
        source_table,
        source_row_id,
        happened_at as placed_at
    from landed_events
    union all
    select
        statement_id,
        seq,
        happened_at,
        who,
        kind,
        words,
        source_table,
        source_row_id,
        happened_at as placed_at
    from settled_exceptions

)

select
    events.statement_id,
    issued_statements.statement_number,
    cast(row_number() over (
        partition by events.statement_id
        order by events.placed_at, events.seq, events.kind, events.words
    ) as integer) as event_no,
    events.happened_at,
    events.who,
    events.kind,
    events.words,
    events.source_table,
    events.source_row_id
from events
left join issued_statements
    on events.statement_id = issued_statements.statement_id
order by events.statement_id, event_no
