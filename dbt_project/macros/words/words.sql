{#- Numbers as people read them in a sentence. -#}

{#- A decimal of n decimals with thousands separators and without trailing zeros: 1204.500000 → 1,204.5. -#}
{% macro number_in_words(x) -%}
    case when {{ x }} < 0 then '-' else '' end
    || regexp_replace(
        {{ with_thousands('cast(split_part(cast(abs(' ~ x ~ ") as string), '.', 1) as " ~ whole_type() ~ ')') }} || '.' || split_part(cast(abs({{ x }}) as string), '.', 2),
        {{ pattern('\\.?0*$') }}, ''
    )
{%- endmacro %}

{#- An amount or a price with its currency, at least the decimals of the currency's minor unit: EUR 1,204.50, EUR 0.0825, JPY 5,441. -#}
{% macro money_in_words(x, currency, minor_units) -%}
    {{ currency }} || ' ' || case when {{ x }} < 0 then '-' else '' end
    || {{ with_thousands('cast(split_part(cast(abs(' ~ x ~ ") as string), '.', 1) as " ~ whole_type() ~ ')') }}
    || regexp_replace(
        '.' || split_part(cast(abs({{ x }}) as string), '.', 2),
        case {{ minor_units }}
            when 0 then {{ pattern('^((?:\\.\\d*?[1-9])?)\\.?0*$') }}
            when 1 then {{ pattern('^(\\.\\d\\d*?)0*$') }}
            else {{ pattern('^(\\.\\d\\d\\d*?)0*$') }}
        end,
        {{ first_group() }}
    )
{%- endmacro %}

{#- A period as a month of the year: 2026-10 → October 2026. -#}
{% macro month_in_words(period) -%}
    {{- date_text('cast(' ~ period ~ " || '-01' as date)", 'MMMM yyyy', '%B %Y') -}}
{%- endmacro %}

{#- What the newest action of a person makes of an exception. -#}
{% macro exception_status(action) -%}
    case {{ action }} when 'ack' then 'acknowledged' when 'resolve' then 'resolved' else 'open' end
{%- endmacro %}
