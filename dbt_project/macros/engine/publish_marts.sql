{#-
  Copies every mart into `published/.marts.next.duckdb` once all models and tests of the run have passed; whoever started the run
  renames that file over `published/marts.duckdb`. Inside dbt, because only dbt opens the warehouse file. All marts are copied, not
  only those this run built, so that a partial run still publishes a complete set. Written with storage version v1.0.0, which
  DuckDB clients older than version 2 open.
-#}
{% macro publish_marts(results) %}
    {%- if execute and flags.WHICH in ('build', 'run') -%}
        {%- set failed = [] -%}
        {%- for result in results -%}
            {%- if result.status in ('error', 'fail', 'runtime error', 'skipped') -%}{%- do failed.append(result.node.name) -%}{%- endif -%}
        {%- endfor -%}
        {%- if failed -%}
            {{ log('not published: ' ~ failed | length ~ ' node(s) did not pass: ' ~ failed[:5] | join(', '), info=true) }}
        {%- else -%}
            {%- set next_file = (env_var('M2C_DATA_DIR') ~ '/published/.marts.next.duckdb') | replace("'", "''") -%}
            {%- set marts = [] -%}
            {%- for node in graph.nodes.values() -%}
                {%- if node.resource_type == 'model' and node.config.schema == 'marts' and node.config.enabled -%}
                    {%- do marts.append(node) -%}
                {%- endif -%}
            {%- endfor -%}
            {#- One transaction: a commit per table and comment would cost seconds. -#}
            {%- set statements = ["begin"] -%}
            {%- for node in marts | sort(attribute='name') -%}
                {%- set table = 'next_marts.main.' ~ node.name -%}
                {%- set columns = node.columns.values() | map(attribute='name') | join(', ') -%}
                {%- do statements.append('create table ' ~ table ~ ' as select ' ~ columns ~ ' from marts.' ~ node.name) -%}
                {%- do statements.append("comment on table " ~ table ~ " is '" ~ node.description | replace("'", "''") ~ "'") -%}
                {%- for column in node.columns.values() -%}
                    {%- do statements.append("comment on column " ~ table ~ "." ~ column.name ~ " is '" ~ column.description | replace("'", "''") ~ "'") -%}
                {%- endfor -%}
            {%- endfor -%}
            {%- do statements.append("commit") -%}
            {%- do run_query("attach '" ~ next_file ~ "' as next_marts (storage_version 'v1.0.0')") -%}
            {%- do run_query(statements | join(';\n')) -%}
            {%- do run_query('checkpoint next_marts') -%}
            {%- do run_query('detach next_marts') -%}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}
