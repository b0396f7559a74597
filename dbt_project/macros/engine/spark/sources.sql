{#- Sources are Parquet files, which DuckDB reads as `external_location` says and Spark by their path. -#}
{% macro source(source_name, table_name) -%}
    {%- set relation = builtins.source(source_name, table_name) -%}
    {%- if not is_spark() or '__dbt__cte__' in relation | string -%}{{ return(relation) }}{%- endif -%}
    {{ return('parquet.`' ~ env_var('M2C_DATA_DIR') ~ '/warehouse/' ~ source_name ~ '/' ~ table_name ~ '.parquet`') }}
{%- endmacro %}

{#- Landed files as one relation, with the columns of the typed file without rows: one pattern for all, as a union of each would be planned for minutes. -#}
{%- macro landed_on_spark(paths, table) -%}
    {%- set rests = [] -%}
    {%- for path in [empty_file(table)] + paths -%}{%- do rests.append(path[1:]) -%}{%- endfor -%}
    {{ return('(select * from parquet.`/{' ~ rests | join(',') ~ "}` with ('mergeSchema' = 'true'))") }}
{%- endmacro -%}

{#- Let the staging view of readings read these files. -#}
{%- macro read_in_hand(paths) -%}
    {%- do run_query('create or replace view hand.landed_readings as select * from ' ~ landed_on_spark(paths, 'readings') ~ ' as landed') -%}
{%- endmacro -%}
