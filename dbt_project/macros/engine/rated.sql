{#-
  How rating computes only what is due. `int_rating__scope` says which (contract, period)s differ from what they were last rated from; the rating models
  are tables of those alone; what is remembered of all others is a `rated` table, in which the rows of those that are due are replaced whole, also when
  nothing is left of them. `int_rating__settled` comes after all of these and takes the mark off, so that a killed run is done again.
-#}

{% materialization rated, default %}
    {%- set target = this.incorporate(type='table') -%}
    {%- set computed = make_temp_relation(target) -%}
    {{ run_hooks(pre_hooks) }}
    {%- if config.get('contract').enforced -%}{%- do get_assert_columns_equivalent(sql) -%}{%- endif -%}
    {%- do run_query('create or replace temp table ' ~ computed.identifier ~ ' as ' ~ sql) -%}
    {#- A run that rates nothing finds here what an earlier one rated. -#}
    {%- set due = '(contract_id, period) in (select contract_id, period from ' ~ ref('int_rating__scope') ~ ' where is_due)' -%}
    {#- Other columns are of another program, whose rules make everything due. -#}
    {%- if load_relation(this) is none or columns_of(target) != columns_of(computed.identifier) -%}
        {%- if config.get('contract').enforced -%}
            {%- do run_query(
                'begin;\ncreate or replace table ' ~ target ~ get_table_columns_and_constraints() ~ ';\ninsert into ' ~ target ~ ' from '
                ~ computed.identifier ~ ';\ncommit'
            ) -%}
        {%- else -%}
            {%- do run_query('create or replace table ' ~ target ~ ' as from ' ~ computed.identifier) -%}
        {%- endif -%}
    {%- else -%}
        {%- do replace_rows([{'table': target, 'where': due, 'rows': 'select * from ' ~ computed.identifier ~ ' where ' ~ due}]) -%}
    {%- endif -%}
    {%- do run_query('drop table ' ~ computed.identifier) -%}
    {% call noop_statement('main', 'RATED') %}{% endcall %}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}

{#- A digest of the models that rate; the program's version stands for the macros. -#}
{% macro rules_of_rating() -%}
    {%- set checksums = [] -%}
    {%- for node in (graph.nodes.values() if execute else []) | sort(attribute='unique_id')
        if node.resource_type == 'seed' or (node.resource_type == 'model' and node.fqn[1:3] in (['intermediate', 'rating'], ['intermediate', 'billing'])) -%}
        {%- do checksums.append(node.checksum.checksum) -%}
    {%- endfor -%}
    md5('{{ checksums | join }}')
{%- endmacro %}

{#- Take the mark off what is rated. -#}
{% macro settle(scope) -%}
    {%- if is_spark() -%}
        {%- if execute -%}
            {%- do replace_rows([{
                'table': scope,
                'where': 'is_due',
                'rows': 'select contract_id, period, fingerprint, rules, false as is_due, run_no from ' ~ scope ~ ' where is_due'
            }]) -%}
        {%- endif -%}
    {%- else -%}
    update {{ scope }} set is_due = false where is_due
    {%- endif -%}
{%- endmacro %}
