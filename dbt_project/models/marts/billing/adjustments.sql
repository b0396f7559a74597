with lines as (

    select
        period,
        line_key,
        adjusts_period,
        cause
    from {{ ref('int_billing__statement_lines') }}
    where classification = 'adjustment'

)

select
    period,
    line_key,
    adjusts_period,
    {{ original_key('line_key') }} as original_key,
    cause
from lines
order by period, line_key
