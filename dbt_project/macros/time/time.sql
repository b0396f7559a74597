{#- The type of instants: microseconds since 1970 in UTC, in a session whose zone is UTC. -#}
{% macro instant_type() -%}
    {{- 'timestamp' if is_spark() else 'timestamptz' -}}
{%- endmacro %}

{#- An instant as a literal, written with its offset. -#}
{% macro instant(text) -%}
    {{- instant_type() ~ " '" ~ text ~ "'" -}}
{%- endmacro %}

{#- Before and after everything; Spark has no infinite instants. -#}
{% macro beginning_of_time() -%}
    {{- instant('0001-01-01 00:00:00+00:00' if is_spark() else '-infinity') -}}
{%- endmacro %}

{% macro end_of_time() -%}
    {{- instant('9999-12-31 00:00:00+00:00' if is_spark() else 'infinity') -}}
{%- endmacro %}

{#- A date, or an instant in UTC, in the pattern of either engine. -#}
{% macro date_text(date, of_spark, of_duckdb) -%}
    {{- 'date_format(' ~ date ~ ", '" ~ of_spark ~ "')" if is_spark() else 'strftime(' ~ date ~ ", '" ~ of_duckdb ~ "')" -}}
{%- endmacro %}

{% macro instant_text(instant, of_spark, of_duckdb) -%}
    {{- date_text(instant if is_spark() else 'make_timestamp(' ~ us(instant) ~ ')', of_spark, of_duckdb) -}}
{%- endmacro %}

{#- An instant as whole microseconds since 1970-01-01 UTC: BIGINT. -#}
{% macro us(instant) -%}
    {{- ('unix_micros(' if is_spark() else 'epoch_us(') ~ instant ~ ')' -}}
{%- endmacro %}

{#- The instant at whole microseconds since 1970-01-01 UTC. -#}
{% macro instant_of_us(us) -%}
    {{- ('timestamp_micros(' if is_spark() else 'make_timestamptz(') ~ us ~ ')' -}}
{%- endmacro %}

{#- The date on which microseconds since 1970-01-01 lie, those of UTC or of a local clock. -#}
{% macro date_of_us(us) -%}
    {{- 'cast(' ~ ('timestamp_micros(' if is_spark() else 'make_timestamp(') ~ us ~ ') as date)' -}}
{%- endmacro %}

{#- The UTC date of an instant. -#}
{% macro utc_date(instant) -%}
    {{- 'cast(' ~ instant ~ ' as date)' if is_spark() else date_of_us(us(instant)) -}}
{%- endmacro %}

{#- The UTC day of a date, as the instant at which it begins. -#}
{% macro utc_day_start(day) -%}
    {{- 'cast(cast(' ~ day ~ ' as date) as timestamp)' if is_spark() else 'make_timestamptz(epoch_us(cast(' ~ day ~ ' as date)))' -}}
{%- endmacro %}

{#- The instant at which the UTC day of an instant ends. -#}
{% macro utc_day_end(instant) -%}
    {{- instant_of_us('(' ~ int_div(us(instant), 86400000000) ~ ' + 1) * 86400000000') -}}
{%- endmacro %}

{#- Every UTC day that a span of time touches, one row each, in a select list. -#}
{% macro each_utc_day(span_start, span_end) -%}
    {%- set first = int_div(us(span_start), 86400000000) -%}
    {%- set last = int_div(us(span_end) ~ ' - 1', 86400000000) -%}
    {%- if is_spark() -%}
    explode(case when {{ first }} <= {{ last }} then transform(sequence({{ first }}, {{ last }}), n -> date_add(date '1970-01-01', cast(n as int))) end)
    {%- else -%}
    {{ date_of_us(each_number(first, last) ~ ' * 86400000000') }}
    {%- endif -%}
{%- endmacro %}

{#- The month of a date, and the UTC month of an instant: YYYY-MM. -#}
{% macro month_of(day) -%}
    {{- 'left(cast(' ~ day ~ ' as string), 7)' if is_spark() else 'strftime(' ~ day ~ ", '%Y-%m')" -}}
{%- endmacro %}

{% macro utc_month(instant) -%}
    {{- month_of(utc_date(instant)) -}}
{%- endmacro %}

{#- A date so many months later. -#}
{% macro months_later(day, months) -%}
    {{- 'add_months(' ~ day ~ ', ' ~ months ~ ')' if is_spark() else 'cast(' ~ day ~ ' + to_months(' ~ months ~ ') as date)' -}}
{%- endmacro %}

{#- How many months a period, YYYY-MM, lies before another. -#}
{% macro months_apart(first, last) -%}
    ((cast(left({{ last }}, 4) as integer) - cast(left({{ first }}, 4) as integer)) * 12
    + cast(right({{ last }}, 2) as integer) - cast(right({{ first }}, 2) as integer))
{%- endmacro %}

{#- How many days a date lies before another. -#}
{% macro days_between(first, last) -%}
    {{- 'date_diff(' ~ last ~ ', ' ~ first ~ ')' if is_spark() else '(' ~ last ~ ' - ' ~ first ~ ')' -}}
{%- endmacro %}
