{#- An instant as whole microseconds since 1970-01-01 UTC: BIGINT. -#}
{% macro us(instant) -%}
    epoch_us({{ instant }})
{%- endmacro %}

{#- The local wall-clock time of an instant, given the offset of its row of `zone_spans`: TIMESTAMP without zone. -#}
{% macro local_time(instant, utc_offset_seconds) -%}
    make_timestamp(epoch_us({{ instant }}) + {{ utc_offset_seconds }} * 1000000::bigint)
{%- endmacro %}
