{#- An instant for a sentence, in UTC, to the second. -#}
{% macro instant_in_words(instant) -%}
    ({{ instant_text(instant, 'yyyy-MM-dd HH:mm:ss', '%Y-%m-%d %H:%M:%S') }} || ' UTC')
{%- endmacro %}

{#- The same to the minute, without its zone. -#}
{% macro minute_in_words(instant) -%}
    {{- instant_text(instant, 'yyyy-MM-dd HH:mm', '%Y-%m-%d %H:%M') -}}
{%- endmacro %}

{#- How many of what: 1 interval, 2 intervals. -#}
{% macro counted_in_words(n, noun) -%}
    ({{ n }} || case {{ n }} when 1 then ' {{ noun }}' else ' {{ noun }}s' end)
{%- endmacro %}
