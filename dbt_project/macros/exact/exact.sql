{#-
  The one rounding authority: half away from zero, on decimals, never through DOUBLE. DuckDB's `/` on decimals returns DOUBLE, and a
  product of two decimals keeps their declared precisions, so every product is formed after a cast to DECIMAL(38, its own scale), and
  every quotient on scaled whole numbers of 128 bits (DuckDB) or 38 digits (Spark), which raise on overflow instead of wrapping.
-#}

{#- a × b, exact: DECIMAL(38, a_scale + b_scale). -#}
{% macro exact_product(a, a_scale, b, b_scale) -%}
    (cast({{ a }} as decimal(38, {{ a_scale }})) * cast({{ b }} as decimal(38, {{ b_scale }})))
{%- endmacro %}

{#- x to n decimals, half away from zero: DECIMAL(38, n). x is a decimal. -#}
{% macro round_half_away(x, n) -%}
    cast(round({{ x }}, {{ n }}) as decimal(38, {{ n }}))
{%- endmacro %}

{#- A decimal of the given scale as a whole number of its last decimals, of the type of whole numbers. -#}
{% macro scaled_integer(x, scale) -%}
    {%- if scale == 0 -%}
    cast({{ x }} as {{ whole_type() }})
    {%- else -%}
    cast(cast({{ x }} as decimal(38, {{ scale }})) * cast(1{{ '0' * scale }} as decimal({{ scale + 1 }}, 0)) as {{ whole_type() }})
    {%- endif -%}
{%- endmacro %}

{#- A whole number of n-th decimals back to DECIMAL(38, n). -#}
{% macro unscaled_decimal(x, n) -%}
    {%- if n == 0 -%}
    cast({{ x }} as decimal(38, 0))
    {%- else -%}
    (cast({{ x }} as decimal(38, 0)) * cast('0.{{ '0' * (n - 1) }}1' as decimal({{ n }}, {{ n }})))
    {%- endif -%}
{%- endmacro %}

{#- The whole number nearest to num ÷ den, half away from zero; both whole numbers, den not 0. -#}
{% macro divide_nearest(num, den) -%}
    (
        case when ({{ num }} < 0) = ({{ den }} < 0) then 1 else -1 end
        * {{ whole_div('2 * abs(' ~ num ~ ') + abs(' ~ den ~ ')', '2 * abs(' ~ den ~ ')') }}
    )
{%- endmacro %}

{#- 10^n as a whole number. -#}
{% macro power_of_ten(n) -%}
    {{- 'cast(1' ~ '0' * n ~ ' as ' ~ whole_type() ~ ')' -}}
{%- endmacro %}

{#- num ÷ den, exact, rounded once to n decimals: DECIMAL(38, n). Null where den is 0. Scales are those of the arguments. -#}
{% macro divide_round(num, num_scale, den, den_scale, n) -%}
    {%- set shift = n + den_scale - num_scale -%}
    {%- set top = scaled_integer(num, num_scale) ~ (' * ' ~ power_of_ten(shift) if shift > 0 else '') -%}
    {%- set bottom = scaled_integer(den, den_scale) ~ (' * ' ~ power_of_ten(-shift) if shift < 0 else '') -%}
    case when {{ den }} != 0 then {{ unscaled_decimal(divide_nearest('(' ~ top ~ ')', '(' ~ bottom ~ ')'), n) }} end
{%- endmacro %}

{#-
  cum(t) of splitting: round(q × part ÷ whole, 9), with q DECIMAL(38, 9) and the spans in whole microseconds. A piece [t1, t2) is
  cum(t2) − cum(t1), so that the pieces of an interval always add up to it and none depends on where else it was cut.
-#}
{% macro prorate(q, part_us, whole_us) -%}
    {{ unscaled_decimal(divide_nearest('(' ~ scaled_integer(q, 9) ~ ' * (' ~ part_us ~ '))', 'cast(' ~ whole_us ~ ' as ' ~ whole_type() ~ ')'), 9) }}
{%- endmacro %}

{#-
  A thousandth of x, rounded once to 9 decimals: DECIMAL(21, 9). For |x| < 10^9 with at most 9 decimals. The cast to 6 decimals rounds (half away
  from zero) on 64 bits, and the factor only moves the point, where a quotient of 128 bits would cost ten times as much.
-#}
{% macro thousandth(x) -%}
    (cast(cast({{ x }} as decimal(18, 9)) as decimal(18, 6)) * cast('0.001' as decimal(3, 3)))
{%- endmacro %}

{#- Whether energy is above 1.5 × rated_kw × hours: both sides times 7,200,000,000, so that nothing is divided. -#}
{% macro is_spike(quantity, rated_kw, span_us) -%}
    {{ exact_product(quantity, 9, '7200000000', 0) }} > {{ exact_product(rated_kw, 9, '3 * (' ~ span_us ~ ')', 0) }}
{%- endmacro %}
