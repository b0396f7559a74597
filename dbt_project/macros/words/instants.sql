{#- An instant for a sentence, in UTC, to the second. -#}
{% macro instant_in_words(instant) -%}
    (strftime({{ local_time(instant, 0) }}, '%Y-%m-%d %H:%M:%S') || ' UTC')
{%- endmacro %}

{#- How many of what: 1 interval, 2 intervals. -#}
{% macro counted_in_words(n, noun) -%}
    ({{ n }} || case {{ n }} when 1 then ' {{ noun }}' else ' {{ noun }}s' end)
{%- endmacro %}
