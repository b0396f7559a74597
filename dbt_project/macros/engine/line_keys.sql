{#- The key of the line that an adjustment adjusts, of any other line its own. A line key has six parts; that of an adjustment has `adj` and a
    month before them and may have the payer behind. -#}
{% macro original_key(line_key) -%}
    case
        {%- if is_spark() %}
        when size(split({{ line_key }}, '/')) > 6 then array_join(slice(split({{ line_key }}, '/'), 3, 6), '/')
        {%- else %}
        when len(string_split({{ line_key }}, '/')) > 6 then array_to_string(string_split({{ line_key }}, '/')[3:8], '/')
        {%- endif %}
        else {{ line_key }}
    end
{%- endmacro %}

{#- The key of the line that a credit has in a period. -#}
{% macro credit_line_key(contract_id, period, credit_id) -%}
    {{- contract_id ~ " || '/' || " ~ period ~ " || '/0/credit/-/' || " ~ credit_id -}}
{%- endmacro %}
