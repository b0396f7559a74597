{#-
  What DuckDB and Spark write differently, each once. Everything else in the models is SQL that both read alike: `string`, `max_by`, `qualify`,
  `filter`, lists of columns in `in (select …)`.
-#}

{% macro is_spark() -%}
    {{ return(target.type == 'spark') }}
{%- endmacro %}

{#- The type of whole numbers beyond 64 bits: 128 bits in DuckDB, 38 digits in Spark. -#}
{% macro whole_type() -%}
    {{- 'decimal(38, 0)' if is_spark() else 'hugeint' -}}
{%- endmacro %}

{#- a ÷ b towards zero, both BIGINT. -#}
{% macro int_div(a, b) -%}
    {{- '((' ~ a ~ ')' ~ (' div ' if is_spark() else ' // ') ~ '(' ~ b ~ '))' -}}
{%- endmacro %}

{#- a ÷ b towards zero, both of the type of whole numbers. Spark's `div` on decimals wraps at 64 bits. -#}
{% macro whole_div(a, b) -%}
    {{- 'main.whole_div(' ~ a ~ ', ' ~ b ~ ')' if is_spark() else '((' ~ a ~ ') // (' ~ b ~ '))' -}}
{%- endmacro %}

{#- A number for each row of a table that is written, whichever. -#}
{% macro any_number() -%}
    {{- 'monotonically_increasing_id()' if is_spark() else 'row_number() over ()' -}}
{%- endmacro %}

{#- Every whole number from first to last, one row each, in a select list. -#}
{% macro each_number(first, last) -%}
    {%- if is_spark() -%}
    explode(case when {{ first }} <= {{ last }} then sequence({{ first }}, {{ last }}) end)
    {%- else -%}
    unnest(range({{ first }}, {{ last }} + 1))
    {%- endif -%}
{%- endmacro %}

{#- Every date from first to last, one row each, in a select list. -#}
{% macro each_date(first, last) -%}
    {%- if is_spark() -%}
    explode(sequence({{ first }}, {{ last }}, interval 1 day))
    {%- else -%}
    cast(unnest(range({{ first }}, {{ last }} + interval 1 day, interval 1 day)) as date)
    {%- endif -%}
{%- endmacro %}

{#- Each of some expressions of a row, one row each, in a select list. -#}
{% macro each_of(expressions) -%}
    {{- ('explode(array(' ~ expressions | join(', ') ~ '))') if is_spark() else ('unnest([' ~ expressions | join(', ') ~ '])') -}}
{%- endmacro %}

{#- The texts of a group as one, in the order of another expression; `filter (where …)` may follow. -#}
{% macro listed(text, separator, order_by) -%}
    {%- if is_spark() -%}
    listagg({{ text }}, '{{ separator }}') within group (order by {{ order_by }})
    {%- else -%}
    string_agg({{ text }}, {{ 'chr(10)' if separator == '\n' else "'" ~ separator ~ "'" }} order by {{ order_by }})
    {%- endif -%}
{%- endmacro %}

{#- A common table expression that several others read is computed once. -#}
{% macro computed_once() -%}
    {{- '' if is_spark() else 'materialized' -}}
{%- endmacro %}

{#- A regular expression as a literal. -#}
{% macro pattern(text) -%}
    {{- ('r' if is_spark() else '') ~ "'" ~ text ~ "'" -}}
{%- endmacro %}

{#- What the first group of a regular expression matched, in what replaces it. -#}
{% macro first_group() -%}
    {{- "'$1'" if is_spark() else "'\\1'" -}}
{%- endmacro %}

{#- A whole number with thousands separators. -#}
{% macro with_thousands(x) -%}
    {{- 'format_number(' ~ x ~ ', 0)' if is_spark() else "format('{:,}', " ~ x ~ ')' -}}
{%- endmacro %}

{% macro struct_of(fields) -%}
    {%- if is_spark() -%}
    named_struct({% for name, value in fields.items() %}'{{ name }}', {{ value }}{{ ', ' if not loop.last }}{% endfor %})
    {%- else -%}
    { {% for name, value in fields.items() %}'{{ name }}': {{ value }}{{ ', ' if not loop.last }}{% endfor %} }
    {%- endif -%}
{%- endmacro %}

{#- A map from texts, without entries and with one; `map_concat` lets the later of two values of a key stand. -#}
{% macro empty_map(value_type) -%}
    {{- 'cast(map() as map<string, ' ~ value_type ~ '>)' if is_spark() else 'cast(map { } as map (varchar, ' ~ value_type ~ '))' -}}
{%- endmacro %}

{% macro map_of(key, value) -%}
    {{- 'map(' ~ key ~ ', ' ~ value ~ ')' if is_spark() else 'map([' ~ key ~ '], [' ~ value ~ '])' -}}
{%- endmacro %}

{#- Texts as a JSON list, null being null. -#}
{% macro json_list(texts) -%}
    {{- 'to_json(array(' ~ texts | join(', ') ~ '))' if is_spark() else 'cast(to_json([' ~ texts | join(', ') ~ ']) as string)' -}}
{%- endmacro %}

{#- The texts of a JSON list as one text. -#}
{% macro json_list_joined(json, separator) -%}
    {%- if is_spark() -%}
    array_join(from_json({{ json }}, 'array<string>'), '{{ separator }}')
    {%- else -%}
    array_to_string(from_json({{ json }}, '["VARCHAR"]'), '{{ separator }}')
    {%- endif -%}
{%- endmacro %}
