{#- Sources are Parquet files, which DuckDB reads as `external_location` says and Spark by their path. -#}
{% macro source(source_name, table_name) -%}
    {%- set relation = builtins.source(source_name, table_name) -%}
    {%- if not is_spark() or '__dbt__cte__' in relation | string -%}{{ return(relation) }}{%- endif -%}
    {{ return('parquet.`' ~ env_var('M2C_DATA_DIR') ~ '/warehouse/' ~ source_name ~ '/' ~ table_name ~ '.parquet`') }}
{%- endmacro %}

{#-
  A table with the rows of landed files, in the columns of the typed file without rows: a view would hold their paths, of which a catalog takes 32,700
  characters. One pattern for all, as a union of each would be planned for minutes.
-#}
{%- macro take_landed(paths, table) -%}
    {%- set rests = [] -%}
    {%- for path in [empty_file(table)] + paths -%}{%- do rests.append(path[1:]) -%}{%- endfor -%}
    {%- do remake('hand.landed_' ~ table, 'select * from parquet.`/{' ~ rests | join(',') ~ "}` with ('mergeSchema' = 'true')") -%}
{%- endmacro -%}
