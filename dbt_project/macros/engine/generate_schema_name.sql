{#- Schemas are named plainly (staging, intermediate, marts): there is one warehouse per data dir, not one per developer. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name | trim if custom_schema_name else target.schema }}
{%- endmacro %}

{#- What metering works on while days are computed lies in a database in memory: the tables in hand, and the rules, views that read them. -#}
{% macro generate_database_name(custom_database_name=none, node=none) -%}
    {%- if is_spark() -%}{{ return(none) }}{%- endif -%}
    {%- set is_rule = node is not none and node.config.materialized == 'view'
        and (node.name.startswith('int_metering__') or node.name == 'stg_landing__readings') -%}
    {{ 'hand' if is_rule or (node is not none and node.config.materialized == 'in_hand') else target.database }}
{%- endmacro %}
