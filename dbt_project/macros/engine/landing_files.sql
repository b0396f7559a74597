{#-
  The landed files of one table as a relation. Paths come one by one from the manifest, never from a wildcard (a scan of three years of
  small files costs a second, and an empty folder is an error), behind one typed file without rows that settles the columns. Files
  that the manifest refused are left out.
-#}
{% macro landing_files(table) -%}
    {%- set paths = [] -%}
    {%- if execute -%}
        {%- set query -%}
            select path from {{ source('manifest', table) }} where not refused order by path
        {%- endset -%}
        {%- for row in run_query(query).rows -%}
            {%- do paths.append(row[0] if is_spark() else "'" ~ row[0] | replace("'", "''") ~ "'") -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if is_spark() -%}
    {%- if execute -%}{%- do take_landed(paths, table) -%}{%- endif -%}
    hand.landed_{{ table }}
    {%- else -%}
    (
        select * from {{ source('manifest', 'empty_' ~ table) }}
        {%- if paths %}
        union all by name
        select * from read_parquet([{{ paths | join(', ') }}], hive_partitioning = false)
        {%- endif %}
    )
    {%- endif -%}
{%- endmacro %}
