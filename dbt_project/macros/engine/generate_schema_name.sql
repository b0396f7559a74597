{#- Schemas are named plainly (staging, intermediate, marts): there is one warehouse per data dir, not one per developer. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name | trim if custom_schema_name else target.schema }}
{%- endmacro %}
