{#- Exact shares of amounts and quantities whose products would outgrow a decimal of 38 digits: formed on whole numbers. -#}

{#- amount (9 decimals) × part ÷ whole, rounded once to the currency's minor unit: DECIMAL(18, 2). part and whole are whole numbers. -#}
{% macro share_of_money(amount, part, whole, minor_units) -%}
    {%- set top = '(' ~ scaled_integer(amount, 9) ~ ' * cast(' ~ part ~ ' as ' ~ whole_type() ~ '))' -%}
    {%- set bottom = '(cast(' ~ whole ~ ' as ' ~ whole_type() ~ ') * ' -%}
    case {{ minor_units }}
        when 0 then cast({{ unscaled_decimal(divide_nearest(top, bottom ~ power_of_ten(9) ~ ')'), 0) }} as decimal(18, 2))
        when 1 then cast({{ unscaled_decimal(divide_nearest(top, bottom ~ power_of_ten(8) ~ ')'), 1) }} as decimal(18, 2))
        else cast({{ unscaled_decimal(divide_nearest(top, bottom ~ power_of_ten(7) ~ ')'), 2) }} as decimal(18, 2))
    end
{%- endmacro %}

{#-
  quantity × part ÷ whole for quantities of 12 decimals with 0 ≤ part ≤ whole, rounded once to 6 decimals: DECIMAL(38, 6). The product has 24 decimals,
  so it is formed by long division in digits of 10^9 of the quantity; exact for quantities below 10^14. Rounding the floor of the quotient at 12 decimals
  gives the same as rounding the quotient: the half lies on a whole number of its last decimals.
-#}
{% macro share_of_quantity(quantity, part, whole) -%}
    {%- set q = scaled_integer(quantity, 12) -%}
    {%- set p = scaled_integer(part, 12) -%}
    {%- set w = scaled_integer(whole, 12) -%}
    {%- set digit = power_of_ten(9) -%}
    {%- set high = '(' ~ whole_div(q, power_of_ten(18)) ~ ' * ' ~ p ~ ')' -%}
    {%- set middle = '((' ~ high ~ ' % ' ~ w ~ ') * ' ~ digit ~ ' + (' ~ whole_div(q, digit) ~ ' % ' ~ digit ~ ') * ' ~ p ~ ')' -%}
    {%- set low = '((' ~ middle ~ ' % ' ~ w ~ ') * ' ~ digit ~ ' + (' ~ q ~ ' % ' ~ digit ~ ') * ' ~ p ~ ')' -%}
    {%- set floor = '(' ~ whole_div(high, w) ~ ' * ' ~ power_of_ten(18) ~ ' + ' ~ whole_div(middle, w) ~ ' * ' ~ digit ~ ' + ' ~ whole_div(low, w) ~ ')' -%}
    {{ unscaled_decimal(whole_div(floor ~ ' + 500000', power_of_ten(6)), 6) }}
{%- endmacro %}

{#- A decimal of n decimals with up to 38 digits as a whole number of its last decimals. Through its digits, where a product would overflow. -#}
{% macro digits_integer(x, n) -%}
    cast(replace(cast(cast({{ x }} as decimal(38, {{ n }})) as string), '.', '') as {{ whole_type() }})
{%- endmacro %}

{#-
  x rounded once, half away from zero, to a currency's minor unit (0 to 2 decimals, a column): DECIMAL(18, 2). Each branch is cast for itself: a CASE over
  DECIMAL(38, 0) and DECIMAL(38, 2) is DECIMAL(38, 0) in DuckDB.
-#}
{% macro to_minor_unit(x, minor_units) -%}
    case {{ minor_units }}
        when 0 then cast(round({{ x }}, 0) as decimal(18, 2))
        when 1 then cast(round({{ x }}, 1) as decimal(18, 2))
        else cast(round({{ x }}, 2) as decimal(18, 2))
    end
{%- endmacro %}

{#-
  What a line shows of a quantity: rounded once to 6 decimals, DECIMAL(18, 6), null from 10^12 on, which no line can show. x is a decimal of any scale.
-#}
{% macro line_quantity(x) -%}
    {{ null_on_overflow('cast(' ~ round_half_away(x, 6) ~ ' as decimal(18, 6))', 'decimal(18, 6)') }}
{%- endmacro %}

{#- An amount as a line can hold it: DECIMAL(18, 2), null where it or what it is formed from is too large (10^16 and more). -#}
{% macro line_amount(x, minor_units) -%}
    {{ null_on_overflow(to_minor_unit(x, minor_units), 'decimal(18, 2)') }}
{%- endmacro %}

{#-
  A thousandth of a magnitude in hundredths, rounded half up to a currency's minor unit: a whole number. Only its whole number is asked for, as what lies below
  that is less than any half.
-#}
{% macro thousandth_in_cents(whole, minor_units) -%}
    case {{ minor_units }}
        when 0 then {{ whole_div(whole ~ ' + 500', power_of_ten(3)) }} * 100
        when 1 then {{ whole_div(whole ~ ' + 50', power_of_ten(2)) }} * 10
        else {{ whole_div(whole ~ ' + 5', power_of_ten(1)) }}
    end
{%- endmacro %}
