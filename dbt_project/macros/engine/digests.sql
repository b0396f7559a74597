{#- Digests that do not depend on the order of rows, nor on the engine: the ledger keeps them. -#}

{#- A value as it is digested; an instant in Spark lacks the offset that DuckDB writes. -#}
{% macro digested_text(value) -%}
    {%- if is_spark() -%}
    coalesce(cast({{ value }} as string) || if(typeof({{ value }}) = 'timestamp', '+00', ''), '-')
    {%- else -%}
    coalesce(cast({{ value }} as string), '-')
    {%- endif -%}
{%- endmacro %}

{#- The digest of a group of rows: null where there are none. -#}
{% macro rows_digest(columns) -%}
    {%- set texts = [] -%}
    {%- for column in columns -%}{%- do texts.append(digested_text(column)) -%}{%- endfor -%}
    sum(cast(
        {%- if is_spark() -%}
        conv(substr(md5({{ texts | join(" || chr(31) || ") }}), 17, 16), 16, 10)
        {%- else -%}
        md5_number_lower({{ texts | join(" || chr(31) || ") }})
        {%- endif %} as {{ whole_type() }}))
{%- endmacro %}

{#- The digest of the rows of several files, from those of each: sums modulo 2^64, so that it does not matter how rows are spread over files. -#}
{% macro combined_digest(digest) -%}
    cast(sum(cast({{ digest }} as {{ whole_type() }})) % cast(18446744073709551616 as {{ whole_type() }}) as string)
{%- endmacro %}
