{#- An instant as whole microseconds since 1970-01-01 UTC: BIGINT. -#}
{% macro us(instant) -%}
    epoch_us({{ instant }})
{%- endmacro %}

{#- The local wall-clock time of an instant, given the offset of its row of `zone_spans`: TIMESTAMP without zone. -#}
{% macro local_time(instant, utc_offset_seconds) -%}
    make_timestamp(epoch_us({{ instant }}) + {{ utc_offset_seconds }} * 1000000::bigint)
{%- endmacro %}

{#- The UTC day of a date, as the instant at which it begins. -#}
{% macro utc_day_start(day) -%}
    make_timestamptz(epoch_us(cast({{ day }} as date)))
{%- endmacro %}

{#- The instant at which the UTC day of an instant ends. -#}
{% macro utc_day_end(instant) -%}
    make_timestamptz(({{ us(instant) }} // 86400000000 + 1) * 86400000000)
{%- endmacro %}

{#- Every UTC day that a span of time touches, one row each, in a select list. -#}
{% macro each_utc_day(span_start, span_end) -%}
    cast(make_timestamp({{ each_number(us(span_start) ~ ' // 86400000000', '(' ~ us(span_end) ~ ' - 1) // 86400000000') }} * 86400000000) as date)
{%- endmacro %}
