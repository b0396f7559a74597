{#- A decimal for a sentence: without the zeros that its scale adds. -#}
{% macro plain_number(x) -%}
    regexp_replace(cast({{ x }} as varchar), '\.?0+$', '')
{%- endmacro %}

{#- An instant for a sentence, in UTC. -#}
{% macro plain_instant(instant) -%}
    (strftime({{ local_time(instant, 0) }}, '%Y-%m-%d %H:%M:%S') || ' UTC')
{%- endmacro %}

{#- The UTC month of an instant, YYYY-MM. -#}
{% macro utc_month(instant) -%}
    strftime({{ local_time(instant, 0) }}, '%Y-%m')
{%- endmacro %}
