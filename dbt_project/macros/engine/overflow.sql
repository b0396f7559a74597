{#-
  Null where x, a row's own expression of that type, cannot be computed in it. Spark tries single functions and no expressions; `try_to_binary` is one
  that tries whatever its argument is made of.
-#}
{% macro null_on_overflow(x, type) -%}
    {%- if is_spark() -%}
    cast(cast(try_to_binary(cast({{ x }} as string), 'utf-8') as string) as {{ type }})
    {%- else -%}
    try({{ x }})
    {%- endif -%}
{%- endmacro %}
