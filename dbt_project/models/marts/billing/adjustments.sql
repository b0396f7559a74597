with lines as (

    select
        period,
        line_key,
        adjusts_period,
        cause
    from {{ ref('int_billing__statement_lines') }}
    where classification = 'adjustment'

)

-- A line key has six parts; that of an adjustment has two before it and may have the payer behind it.
select
    period,
    line_key,
    adjusts_period,
    array_to_string(string_split(line_key, '/')[3:8], '/') as original_key,
    cause
from lines
order by period, line_key
