{#- Making and changing tables outside of a model's own materialization. -#}

{#- A table that only this run knows, by its name. -#}
{% macro scratch(name) -%}
    {{- 'hand.' ~ name if is_spark() else name -}}
{%- endmacro %}

{#- Make a table anew from a query. -#}
{% macro remake(relation, sql, is_scratch=false) -%}
    {%- if is_spark() -%}
        {%- do run_query('drop table if exists ' ~ relation) -%}
        {%- do run_query('create table ' ~ relation ~ ' using parquet as ' ~ sql) -%}
    {%- else -%}
        {%- do run_query('create or replace ' ~ ('temp ' if is_scratch) ~ 'table ' ~ relation ~ ' as ' ~ sql) -%}
    {%- endif -%}
{%- endmacro %}

{#- Fill a table that is there, in its own columns, with what a query gives and nothing else. -#}
{% macro refill(relation, sql) -%}
    {%- if is_spark() -%}
        {%- do run_query('insert overwrite table ' ~ relation ~ ' ' ~ sql) -%}
    {%- else -%}
        {%- do remake(relation, sql) -%}
    {%- endif -%}
{%- endmacro %}

{#-
  Replace rows of tables, all of them or none: a list of steps {table, rows, where, reads_itself, partition}. The rows for which `where` holds go, all without
  it, and those that the query `rows` gives come in their place, none without it. `reads_itself` says that `rows` reads the table; `partition` by which
  columns Spark keeps it in folders.
-#}
{% macro replace_rows(steps) -%}
    {%- if is_spark() -%}
        {%- do replace_rows_in_folders(steps) -%}
    {%- else -%}
        {%- set statements = ['begin'] -%}
        {%- for step in steps -%}
            {%- if step.get('rows') and step.get('reads_itself') -%}{%- do remake('rows_of_step_' ~ loop.index, step.get('rows'), is_scratch=true) -%}{%- endif -%}
            {%- do statements.append('delete from ' ~ step.table ~ (' where ' ~ step.get('where') if step.get('where') else '')) -%}
            {%- if step.get('rows') -%}
                {%- do statements.append(
                    'insert into ' ~ step.table ~ ' ' ~ ('from rows_of_step_' ~ loop.index if step.get('reads_itself') else step.get('rows'))
                ) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- do run_query((statements + ['commit']) | join(';\n')) -%}
    {%- endif -%}
{%- endmacro %}

{#- The columns of a relation, a list of [name, type]; Spark tells those of folders twice. -#}
{% macro described(relation) -%}
    {%- set columns = [] -%}
    {%- for row in run_query('describe ' ~ relation).rows if row[0] and not row[0].startswith('#') and [row[0], row[1]] not in columns -%}
        {%- do columns.append([row[0], row[1]]) -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}

{% macro column_names(relation) -%}
    {{ return(described(relation) | map('first') | list) }}
{%- endmacro %}
