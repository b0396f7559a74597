{#- An instant for a sentence, in UTC, to the second. -#}
{% macro instant_in_words(instant) -%}
    (
        {%- if is_spark() -%}
        date_format({{ instant }}, 'yyyy-MM-dd HH:mm:ss')
        {%- else -%}
        strftime(make_timestamp({{ us(instant) }}), '%Y-%m-%d %H:%M:%S')
        {%- endif %} || ' UTC')
{%- endmacro %}

{#- The same to the minute. -#}
{% macro minute_in_words(instant) -%}
    {%- if is_spark() -%}
    date_format({{ instant }}, 'yyyy-MM-dd HH:mm')
    {%- else -%}
    strftime(make_timestamp({{ us(instant) }}), '%Y-%m-%d %H:%M')
    {%- endif -%}
{%- endmacro %}

{#- How many of what: 1 interval, 2 intervals. -#}
{% macro counted_in_words(n, noun) -%}
    ({{ n }} || case {{ n }} when 1 then ' {{ noun }}' else ' {{ noun }}s' end)
{%- endmacro %}
