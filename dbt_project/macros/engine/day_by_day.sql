{#-
  How metering computes only what changed, a few million readings at a time.

  Rules are views over the days "in hand"; what several of them read is an `in_hand` table; what is remembered from run to run is a
  `kept` table. Creating such a model creates it empty and its SQL as a view beside it, `<name>__now`. The one `day_by_day` model, which
  comes after all of them, then fills them: chunk by chunk of days (phase `days`), and then once over the spans of time that those
  days may change (phase `spans`). What is in hand lies in memory and goes with the run; a chunk is kept in one transaction with the
  note that it is, so that a killed run loses at most the chunk at work. An engine with room for all days at once may make every one
  of these models a table and leave out the loop: the SQL is the same.
-#}

{#- Names and types of a relation's columns as one text, to be compared. -#}
{% macro columns_of(relation) -%}
    {%- set columns = described(relation) | map('join') | list -%}
    {#- Spark tells those of folders last. -#}
    {{ return((columns | sort if is_spark() else columns) | join(',')) }}
{%- endmacro %}

{% macro now_view(relation) -%}
    {{ return('hand.' ~ relation.identifier ~ '__now' if is_spark() else '"hand"."main"."' ~ relation.identifier ~ '__now"') }}
{%- endmacro %}

{% materialization in_hand, default %}
    {%- set target = this.incorporate(type='table') -%}
    {{ run_hooks(pre_hooks) }}
    {%- do run_query('create or replace view ' ~ now_view(target) ~ ' as ' ~ sql) -%}
    {%- do run_query('create or replace table ' ~ target ~ ' as from ' ~ now_view(target) ~ ' limit 0') -%}
    {% call noop_statement('main', 'CREATE TABLE') %}{% endcall %}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{% materialization kept, default %}
    {%- set target = this.incorporate(type='table') -%}
    {{ run_hooks(pre_hooks) }}
    {%- do run_query('create or replace view ' ~ now_view(target) ~ ' as ' ~ sql) -%}
    {#- Another program made other columns: start anew. The loop finds its own note gone with them. -#}
    {%- if load_relation(this) is not none and columns_of(target) != columns_of(now_view(target)) -%}
        {%- do run_query('drop table ' ~ target) -%}
    {%- endif -%}
    {%- if config.get('contract').enforced -%}
        {%- do get_assert_columns_equivalent(sql) -%}
        {%- do run_query('create table if not exists ' ~ target ~ get_table_columns_and_constraints()) -%}
    {%- else -%}
        {%- do run_query('create table if not exists ' ~ target ~ ' as from ' ~ now_view(target) ~ ' limit 0') -%}
    {%- endif -%}
    {% call noop_statement('main', 'CREATE TABLE') %}{% endcall %}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{% materialization day_by_day, default %}
    {%- set target = this.incorporate(type='table') -%}
    {{ run_hooks(pre_hooks) }}
    {%- do compute_days(target, sql, computing_plan(), rules_digest()) -%}
    {% call noop_statement('main', 'DAYS') %}{% endcall %}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{#- The tables to fill, each after those that it reads: a list of {name, relation, now, kept, meta}. -#}
{% macro computing_plan() -%}
    {%- set nodes = {} -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' -%}
        {%- do nodes.update({node.unique_id: node}) -%}
    {%- endfor -%}
    {%- set done = {} -%}
    {%- set plan = [] -%}
    {%- for _ in range(nodes | length) if done | length < nodes | length -%}
        {%- for node in nodes.values() | sort(attribute='name') if node.unique_id not in done -%}
            {%- set waits = [] -%}
            {%- for other in node.depends_on.nodes if other in nodes and other not in done -%}{%- do waits.append(other) -%}{%- endfor -%}
            {%- if not waits -%}
                {%- do done.update({node.unique_id: true}) -%}
                {%- if node.config.materialized in ('in_hand', 'kept') -%}
                    {%- if model.unique_id in done -%}
                        {{ exceptions.raise_compiler_error(node.name ~ ' is filled by ' ~ model.name ~ ', which must depend on it') }}
                    {%- endif -%}
                    {%- set relation = adapter.Relation.create(database=node.database, schema=node.schema, identifier=node.alias) -%}
                    {%- do plan.append({
                        'name': node.name, 'relation': relation | string, 'now': now_view(relation),
                        'kept': node.config.materialized == 'kept', 'meta': node.config.meta
                    }) -%}
                {%- endif -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(plan) }}
{%- endmacro %}

{#- A digest of the rules as they are in hand, wherever the data dir lies: what other rules computed is computed anew. -#}
{% macro rules_digest() -%}
    {%- set seeds = [] -%}
    {%- for node in graph.nodes.values() | sort(attribute='unique_id') if node.resource_type == 'seed' -%}
        {%- do seeds.append(node.checksum.checksum) -%}
    {%- endfor -%}
    {%- if is_spark() -%}{{ return(rules_of_metering(seeds)) }}{%- endif -%}
    {{ return(run_query(
        "select md5(string_agg(replace(sql, '" ~ env_var('M2C_DATA_DIR') | replace("'", "''") ~ "', ''), '' order by schema_name, view_name)"
        ~ " || '" ~ seeds | join('') ~ "') from duckdb_views() where database_name = 'hand' and not internal"
    ).rows[0][0]) }}
{%- endmacro %}

{#- Where rules are not views in memory whose text can be read: a digest of the models, and the program, whose version stands for the macros. -#}
{% macro rules_of_metering(seeds) -%}
    {%- set checksums = [] -%}
    {%- for node in graph.nodes.values() | sort(attribute='unique_id') if node.resource_type == 'model' -%}
        {%- do checksums.append(node.checksum.checksum) -%}
    {%- endfor -%}
    {{ return(local_md5(
        (checksums + seeds) | join ~ run_query('select code_version from ' ~ source('context', 'build_context')).rows[0][0]
    )) }}
{%- endmacro %}
