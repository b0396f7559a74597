{#- Null where x, a row's own expression, cannot be computed in its type. -#}
{% macro null_on_overflow(x) -%}
    try({{ x }})
{%- endmacro %}
