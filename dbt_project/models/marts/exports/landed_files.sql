{% set data_dir = (env_var('M2C_DATA_DIR') ~ '/') | replace("'", "''") %}
with listed as (

    select
        'readings' as landing_table,
        partition_key,
        date,
        path,
        url,
        rows,
        refused,
        reason
    from {{ source('manifest', 'readings') }}
    union all
    select
        'charge_events' as landing_table,
        partition_key,
        date,
        path,
        url,
        rows,
        refused,
        reason
    from {{ source('manifest', 'charge_events') }}
    union all
    select
        'index_prices' as landing_table,
        partition_key,
        date,
        path,
        url,
        rows,
        refused,
        reason
    from {{ source('manifest', 'index_prices') }}

)

select
    landing_table,
    case when landing_table != 'index_prices' then partition_key end as site_id,
    case when landing_table = 'index_prices' then partition_key end as index_id,
    date as file_date,
    case
        when url is not null then url
        when left(path, length('{{ data_dir }}')) = '{{ data_dir }}' then substr(path, length('{{ data_dir }}') + 1)
        else path
    end as path,
    cast(rows as bigint) as rows,
    refused,
    reason
from listed
order by landing_table, partition_key, date, path
