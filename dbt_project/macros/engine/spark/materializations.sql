{#-
  How Spark makes what models give. Tables are Parquet: made beside and renamed, so that a model may read its own table. Types are those of the contracts, in
  Spark's words.
-#}

{% materialization table, adapter='spark' %}
    {%- set relation = this.incorporate(type='table') -%}
    {{ run_hooks(pre_hooks) }}
    {%- do exchange(relation, typed(sql)) -%}
    {% call noop_statement('main', 'TABLE') %}{% endcall %}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [relation]}) }}
{% endmaterialization %}

{% materialization seed, adapter='spark' %}
    {%- set relation = this.incorporate(type='table') -%}
    {%- set table = load_agate_table() -%}
    {%- set types = config.get('column_types') -%}
    {%- set rows = [] -%}
    {%- for row in table.rows -%}
        {%- set values = [] -%}
        {%- for name in table.column_names -%}
            {%- do values.append("cast('" ~ row[name] ~ "' as " ~ spark_type(types[name]) ~ ')') -%}
        {%- endfor -%}
        {%- do rows.append('(' ~ values | join(', ') ~ ')') -%}
    {%- endfor -%}
    {%- do exchange(relation, 'select * from values ' ~ rows | join(', ') ~ ' as given (' ~ table.column_names | join(', ') ~ ')') -%}
    {%- do store_result('agate_table', response='OK', agate_table=table) -%}
    {% call noop_statement('main', 'SEED') %}{% endcall %}
    {{ return({'relations': [relation]}) }}
{% endmaterialization %}

{% materialization in_hand, adapter='spark' %}
    {%- set relation = this.incorporate(type='table') -%}
    {%- do run_query('create or replace view ' ~ now_view(relation) ~ ' as ' ~ sql) -%}
    {%- do make_empty(relation, now_view(relation)) -%}
    {% call noop_statement('main', 'CREATE TABLE') %}{% endcall %}
    {{ return({'relations': [relation]}) }}
{% endmaterialization %}

{% materialization kept, adapter='spark' %}
    {%- set relation = this.incorporate(type='table') -%}
    {%- do run_query('create or replace view ' ~ now_view(relation) ~ ' as ' ~ typed(sql)) -%}
    {#- Another program made other columns: start anew. The loop finds other rules in its own note and forgets what it noted. -#}
    {%- if load_relation(this) is none or columns_of(relation) != columns_of(now_view(relation)) -%}
        {%- do make_empty(relation, now_view(relation), folders_of(config.get('meta', {}))) -%}
    {%- endif -%}
    {% call noop_statement('main', 'CREATE TABLE') %}{% endcall %}
    {{ return({'relations': [relation]}) }}
{% endmaterialization %}

{% materialization rated, adapter='spark' %}
    {%- set relation = this.incorporate(type='table') -%}
    {%- set computed = 'hand.' ~ this.identifier ~ '__computed' -%}
    {%- set folders = ['period'] -%}
    {%- do remake(computed, typed(sql)) -%}
    {%- set due = '(contract_id, period) in (select contract_id, period from ' ~ ref('int_rating__scope') ~ ' where is_due)' -%}
    {#- Other columns are of another program, whose rules make everything due. -#}
    {%- if load_relation(this) is none or columns_of(relation) != columns_of(computed) -%}
        {%- do make_empty(relation, computed, folders) -%}
        {%- do replace_rows([{'table': relation, 'rows': 'select * from ' ~ computed, 'partition': folders}]) -%}
    {%- else -%}
        {%- do replace_rows([
            {'table': relation, 'where': due, 'rows': 'select * from ' ~ computed ~ ' where ' ~ due, 'partition': folders}
        ]) -%}
    {%- endif -%}
    {%- do run_query('drop table ' ~ computed) -%}
    {% call noop_statement('main', 'RATED') %}{% endcall %}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [relation]}) }}
{% endmaterialization %}

{#- Put the rows of a query in the place of a table, which the query may read. -#}
{%- macro exchange(relation, sql) -%}
    {%- set next = relation.schema ~ '.' ~ relation.identifier ~ '__next' -%}
    {%- do remake(next, sql) -%}
    {%- do run_query('drop table if exists ' ~ relation) -%}
    {%- do run_query('alter table ' ~ next ~ ' rename to ' ~ relation) -%}
{%- endmacro -%}

{#- A table without rows in the columns and types of another relation, kept in folders by some columns. It starts no job. -#}
{%- macro make_empty(relation, like, folders=[]) -%}
    {%- do run_query('drop table if exists ' ~ relation) -%}
    {%- do run_query(
        'create table ' ~ relation ~ ' (' ~ described(like) | map('join', ' ') | join(', ') ~ ') using parquet'
        ~ (' partitioned by (' ~ folders | join(', ') ~ ')' if folders else '')
    ) -%}
    {%- do first_folder(relation, folders) -%}
{%- endmacro -%}

{#- The rows of a model in the columns and types of its contract, if it has one. -#}
{%- macro typed(sql) -%}
    {%- if not config.get('contract').enforced -%}{{ return(sql) }}{%- endif -%}
    {%- set columns = [] -%}
    {%- for column in model.columns.values() -%}
        {%- do columns.append('cast(' ~ column.name ~ ' as ' ~ spark_type(column.data_type) ~ ') as ' ~ column.name) -%}
    {%- endfor -%}
    {{ return('select ' ~ columns | join(', ') ~ ' from (' ~ sql ~ '\n) as rows_of_model') }}
{%- endmacro -%}

{%- macro spark_type(type) -%}
    {{ return({'varchar': 'string', 'timestamptz': 'timestamp', 'timestamp with time zone': 'timestamp'}.get(type, type)) }}
{%- endmacro -%}
