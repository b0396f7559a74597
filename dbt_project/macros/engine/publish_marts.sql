{#-
  Brings `published/.marts.next.duckdb`, a copy of the published marts or no file yet, up to date once all models and tests of the run have
  passed; whoever started the run renames that file over `published/marts.duckdb`. Inside dbt, because only dbt opens the warehouse file. All
  marts are brought up to date, not only those this run built, so that a partial run still publishes a complete set: small ones as a whole,
  those that grow with every day (meta published_by) only where a run made a difference since. Written with storage version v1.0.0, which
  DuckDB clients older than version 2 open.
-#}
{% macro publish_marts(results) %}
    {%- if execute and flags.WHICH in ('build', 'run') and not is_spark() -%}
        {%- set failed = [] -%}
        {%- for result in results -%}
            {%- if result.status in ('error', 'fail', 'runtime error', 'skipped') -%}{%- do failed.append(result.node.name) -%}{%- endif -%}
        {%- endfor -%}
        {%- if adapter.get_relation(target.database, 'marts', 'build_info') is none -%}
            {{ log('not published: no marts are built here', info=true) }}
        {%- elif failed -%}
            {{ log('not published: ' ~ failed | length ~ ' node(s) did not pass: ' ~ failed[:5] | join(', '), info=true) }}
        {%- else -%}
            {%- set next_file = (env_var('M2C_DATA_DIR') ~ '/published/.marts.next.duckdb') | replace("'", "''") -%}
            {%- set marts = [] -%}
            {%- for node in graph.nodes.values() -%}
                {%- if node.resource_type == 'model' and node.config.schema == 'marts' and node.config.enabled -%}
                    {%- do marts.append(node) -%}
                {%- endif -%}
            {%- endfor -%}
            {%- do run_query("attach '" ~ next_file ~ "' as next_marts (storage_version 'v1.0.0')") -%}
            {%- set since_run = published_run(marts) -%}
            {#- One transaction: a commit per table and comment would cost seconds. -#}
            {%- set statements = ['begin'] -%}
            {%- for row in run_query(
                "select table_name from duckdb_tables() where database_name = 'next_marts' and table_name not in ('"
                ~ marts | map(attribute='name') | join("', '") ~ "')"
            ).rows -%}
                {%- do statements.append('drop table next_marts.main.' ~ row[0]) -%}
            {%- endfor -%}
            {%- for node in marts | sort(attribute='name') -%}
                {%- set table = 'next_marts.main.' ~ node.name -%}
                {%- set rows = 'select ' ~ node.columns.values() | map(attribute='name') | join(', ') ~ ' from marts.' ~ node.name -%}
                {%- set published_by = node.config.meta.get('published_by') -%}
                {%- if published_by and since_run is not none -%}
                    {%- set changed = {
                        'date': '(site_id, usage_date) in (select (site_id, usage_date) from intermediate.int_metering__touched_dates where run_no > '
                            ~ since_run ~ ')',
                        'run': 'run_no > ' ~ since_run,
                        'rated': '(contract_id, period) in (select (contract_id, period) from intermediate.int_rating__scope where run_no > '
                            ~ since_run ~ ')'
                    }[published_by] -%}
                    {%- do statements.append('delete from ' ~ table ~ ' where ' ~ changed) -%}
                    {%- do statements.append('insert into ' ~ table ~ ' ' ~ rows ~ ' where ' ~ changed) -%}
                {%- else -%}
                    {%- do statements.append('create or replace table ' ~ table ~ ' as ' ~ rows) -%}
                {%- endif -%}
                {%- do statements.append("comment on table " ~ table ~ " is '" ~ node.description | replace("'", "''") ~ "'") -%}
                {%- for column in node.columns.values() -%}
                    {%- do statements.append("comment on column " ~ table ~ "." ~ column.name ~ " is '" ~ column.description | replace("'", "''") ~ "'") -%}
                {%- endfor -%}
            {%- endfor -%}
            {%- do statements.append('commit') -%}
            {%- do run_query(statements | join(';\n')) -%}
            {%- do run_query('checkpoint next_marts') -%}
            {%- do run_query('detach next_marts') -%}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}

{#-
  The run of this warehouse whose usage the attached file has; none where it has that of no run of this warehouse, or in other columns.
-#}
{% macro published_run(marts) -%}
    {%- set names = ['build_info'] -%}
    {%- for node in marts if node.config.meta.get('published_by') -%}{%- do names.append(node.name) -%}{%- endfor -%}
    {%- set columns = "select string_agg(table_name || '.' || column_name || ' ' || data_type, ', ' order by table_name, column_index)"
        ~ " from duckdb_columns() where table_name in ('" ~ names | join("', '") ~ "') and " -%}
    {%- if run_query(columns ~ "database_name = 'next_marts'").rows[0][0]
        != run_query(columns ~ "schema_name = 'marts' and database_name = '" ~ target.database ~ "'").rows[0][0] -%}
        {{ return(none) }}
    {%- endif -%}
    {{ return(run_query(
        'select max(published.usage_run_no) from next_marts.main.build_info as published'
        ~ ' inner join intermediate.int_metering__runs_done as done'
        ~ ' on published.usage_run_no = done.run_no and published.usage_run_at = done.run_at'
    ).rows[0][0]) }}
{%- endmacro %}
