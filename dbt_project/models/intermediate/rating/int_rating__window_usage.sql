-- depends_on: {{ ref('int_metering__days') }}
with charges as (

    select
        contract_id,
        term_no,
        period,
        plan_id,
        plan_version,
        charge_code,
        case charge_model when 'index' then 60 else window_minutes end as window_minutes
    from {{ ref('int_rating__segment_charges') }}
    where charge_model in ('index', 'demand')

),

charge_sites as (

    select
        plan_id,
        version,
        code,
        site_id
    from {{ source('book', 'charge_sites') }}

),

pieces as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        {{ us('interval_start') }} as interval_start_us,
        {{ us('interval_end') }} - {{ us('interval_start') }} as interval_us,
        interval_quantity,
        {{ us('piece_start') }} as piece_start_us,
        {{ us('piece_end') }} as piece_end_us,
        quantity
    from {{ ref('int_metering__pieces') }}
    where
        metric = 'energy'
        and contract_id is not null

),

usage_quarters as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        quarter_no,
        quantity
    from {{ ref('int_metering__usage_quarters') }}
    where metric = 'energy'

),

windowed_places as (

    select distinct
        charges.contract_id,
        charges.term_no,
        charges.period,
        charge_sites.site_id,
        charges.window_minutes,
        cast(charges.window_minutes as bigint) * 60000000 as window_us
    from charges
    inner join charge_sites
        on
            charges.plan_id = charge_sites.plan_id
            and charges.plan_version = charge_sites.version
            and charges.charge_code = charge_sites.code

),

spread as (

    select
        pieces.contract_id,
        pieces.term_no,
        pieces.period,
        pieces.site_id,
        windowed_places.window_minutes,
        windowed_places.window_us,
        pieces.interval_start_us,
        pieces.interval_us,
        pieces.interval_quantity,
        pieces.piece_start_us,
        pieces.piece_end_us,
        pieces.quantity,
        {{ int_div('pieces.piece_start_us', 'windowed_places.window_us') }} as first_window_no,
        {{ int_div('pieces.piece_end_us - 1', 'windowed_places.window_us') }} as last_window_no
    from pieces
    inner join windowed_places
        on
            pieces.contract_id = windowed_places.contract_id
            and pieces.term_no = windowed_places.term_no
            and pieces.period = windowed_places.period
            and pieces.site_id = windowed_places.site_id

),

crossings as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        window_minutes,
        window_us,
        interval_start_us,
        interval_us,
        interval_quantity,
        piece_start_us,
        piece_end_us,
        {{ each_number('first_window_no', 'last_window_no') }} as window_no
    from spread
    where first_window_no < last_window_no

),

cuts as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        window_minutes,
        window_no,
        interval_start_us,
        interval_us,
        interval_quantity,
        greatest(piece_start_us, window_no * window_us) as cut_start_us,
        least(piece_end_us, (window_no + 1) * window_us) as cut_end_us
    from crossings

),

windowed as (

    select
        contract_id,
        term_no,
        period,
        site_id,
        window_minutes,
        window_no,
        {{ prorate('interval_quantity', 'cut_end_us - interval_start_us', 'interval_us') }}
        - {{ prorate('interval_quantity', 'cut_start_us - interval_start_us', 'interval_us') }} as quantity
    from cuts
    union all
    select
        contract_id,
        term_no,
        period,
        site_id,
        window_minutes,
        first_window_no as window_no,
        quantity
    from spread
    where first_window_no = last_window_no
    union all
    select
        usage_quarters.contract_id,
        usage_quarters.term_no,
        usage_quarters.period,
        usage_quarters.site_id,
        windowed_places.window_minutes,
        {{ int_div('usage_quarters.quarter_no * 900000000', 'windowed_places.window_us') }} as window_no,
        usage_quarters.quantity
    from usage_quarters
    inner join windowed_places
        on
            usage_quarters.contract_id = windowed_places.contract_id
            and usage_quarters.term_no = windowed_places.term_no
            and usage_quarters.period = windowed_places.period
            and usage_quarters.site_id = windowed_places.site_id

)

select
    contract_id,
    term_no,
    period,
    site_id,
    window_minutes,
    window_no,
    {{ instant_of_us('window_no * window_minutes * 60000000') }} as window_start,
    cast(sum(quantity) as decimal(38, 9)) as quantity
from windowed
group by contract_id, term_no, period, site_id, window_minutes, window_no
