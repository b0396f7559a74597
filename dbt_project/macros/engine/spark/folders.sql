{#-
  Changes of tables on Spark, which has neither transactions nor deletes: tables are Parquet in folders, one per value of their partition columns, and a
  folder is replaced whole. What is to be written is laid out beside, then said to be ready, then put in place; whoever finds it ready and not put in
  place does that first, so that a killed run leaves all of it or nothing.
-#}

{%- macro replace_rows_in_folders(steps) -%}
    {#- Named after the first table, as several models change tables at the same time. -#}
    {%- set name = 'hand.' ~ steps[0].table | replace('`', '') | replace('.', '_') if steps else none -%}
    {%- set changes = [] -%}
    {%- for step in steps if step.get('rows') or step.get('where') or has_rows(step.table) -%}
        {%- set laid_out = name ~ '__change_' ~ loop.index -%}
        {%- set partition = step.get('partition') or [] -%}
        {%- set columns = column_names(step.table) | join(', ') -%}
        {%- set new_rows = 'select ' ~ columns ~ ' from (' ~ (step.get('rows') or 'select * from ' ~ step.table ~ ' where false') ~ ')' -%}
        {%- set stays = 'not coalesce(' ~ step.where ~ ', false)' if step.get('where') else 'false' -%}
        {%- set is_emptied = not step.get('rows') and not step.get('where') -%}
        {%- if is_emptied -%}
            {%- do make_empty(laid_out, step.table) -%}
        {%- elif partition -%}
            {%- set key = partition | join(', ') -%}
            {%- do remake(laid_out ~ '_rows', new_rows) -%}
            {%- do remake(
                laid_out ~ '_folders',
                'select distinct ' ~ key ~ ' from ' ~ laid_out ~ '_rows union select distinct ' ~ key ~ ' from ' ~ step.table
                ~ (' where ' ~ step.where if step.get('where') else '')
            ) -%}
            {%- do remake(
                laid_out,
                'select ' ~ columns ~ ' from ' ~ laid_out ~ '_rows union all select ' ~ columns ~ ' from ' ~ step.table ~ ' where ' ~ stays
                ~ ' and (' ~ key ~ ') in (select ' ~ key ~ ' from ' ~ laid_out ~ '_folders)'
            ) -%}
        {%- else -%}
            {%- do remake(laid_out, new_rows ~ ' union all select ' ~ columns ~ ' from ' ~ step.table ~ ' where ' ~ stays) -%}
        {%- endif -%}
        {%- do changes.append("('" ~ step.table ~ "', '" ~ laid_out ~ "', '" ~ partition | join(', ') ~ "', " ~ is_emptied ~ ')') -%}
    {%- endfor -%}
    {%- if changes -%}
        {%- do remake(name ~ '__ready', 'select * from values ' ~ changes | join(', ') ~ ' as changes (relation, laid_out, partition_columns, is_emptied)') -%}
        {%- do put_in_place(name ~ '__ready') -%}
    {%- endif -%}
{%- endmacro -%}

{%- macro has_rows(relation) -%}
    {{ return(run_query('select 1 as one from ' ~ relation ~ ' limit 1').rows | length > 0) }}
{%- endmacro -%}

{#- Put what is laid out and ready in place; doing it again gives the same. -#}
{%- macro put_in_place(ready) -%}
    {%- for row in run_query('select relation, laid_out, partition_columns, is_emptied from ' ~ ready ~ ' order by laid_out').rows -%}
        {%- set key = row[2].split(', ') if row[2] else [] -%}
        {%- if row[3] -%}
            {#- `truncate` leaves the folders of a table as they are. -#}
            {%- do make_empty(row[0], row[1], key) -%}
        {%- else -%}
            {%- do run_query('insert overwrite table ' ~ row[0] ~ ' by name select * from ' ~ row[1]) -%}
            {%- if key -%}
                {%- do empty_folders(
                    row[0], key,
                    'select ' ~ row[2] ~ ' from ' ~ row[1] ~ '_folders intersect select ' ~ row[2] ~ ' from ' ~ row[0] ~ ' except select ' ~ row[2] ~ ' from ' ~ row[1]
                ) -%}
            {%- endif -%}
        {%- endif -%}
    {%- endfor -%}
    {%- do run_query('drop table ' ~ ready) -%}
{%- endmacro -%}

{#- Empty folders, as a query gives them, one by one: an overwrite touches only those that it has rows for. -#}
{%- macro empty_folders(relation, columns, folders) -%}
    {%- for folder in run_query(folders).rows -%}{%- do empty_folder(relation, columns, folder) -%}{%- endfor -%}
{%- endmacro -%}

{%- macro empty_folder(relation, columns, values) -%}
    {%- set named = [] -%}
    {%- for column in columns -%}{%- do named.append(column ~ " = '" ~ values[loop.index0] ~ "'") -%}{%- endfor -%}
    {%- set nothing = ['null'] * (column_names(relation) | length - columns | length) -%}
    {%- do run_query(
        'insert overwrite table ' ~ relation ~ ' partition (' ~ named | join(', ') ~ ') select ' ~ nothing | join(', ') ~ ' where false'
    ) -%}
{%- endmacro -%}

{#- In a table that has no folders yet Spark fails to choose among them: leave it one, of null, that holds a file without rows. -#}
{%- macro first_folder(relation, columns) -%}
    {%- if columns -%}
        {%- set folder = [] -%}
        {%- for row in run_query('describe extended ' ~ relation).rows if row[0] == 'Location' -%}{%- do folder.append(row[1]) -%}{%- endfor -%}
        {%- for column in columns -%}{%- do folder.append(column ~ '=__HIVE_DEFAULT_PARTITION__') -%}{%- endfor -%}
        {%- set others = column_names(relation) | reject('in', columns) | join(', ') -%}
        {%- do run_query(
            "insert overwrite directory '" ~ folder | join('/') ~ "' using parquet select " ~ others ~ ' from ' ~ relation ~ ' where false'
        ) -%}
        {%- do run_query('refresh table ' ~ relation) -%}
    {%- endif -%}
{%- endmacro -%}

{#-
  Replace whole folders without laying them out first: for whom doing it again after a kill gives the same. A folder that the rows have nothing for still
  holds the files that it held before, and is emptied.
-#}
{%- macro replace_folders(relation, rows, columns, folders) -%}
    {%- set key = columns | join(', ') -%}
    {%- set files = 'select distinct ' ~ key ~ ', _metadata.file_name as file_name from ' ~ relation ~ ' where (' ~ key ~ ') in (select ' ~ key ~ ' from ' ~ folders ~ ')' -%}
    {%- set held_rows = has_rows(relation) -%}
    {%- if held_rows -%}{%- do remake('hand.files_before', files) -%}{%- endif -%}
    {%- do run_query('insert overwrite table ' ~ relation ~ ' by name ' ~ rows ~ ' distribute by ' ~ key) -%}
    {%- if held_rows -%}
        {%- do empty_folders(relation, columns, 'select ' ~ key ~ ' from (' ~ files ~ ' intersect select ' ~ key ~ ', file_name from hand.files_before)') -%}
    {%- endif -%}
{%- endmacro -%}

{#-
  What a run finds prepared: settings without which decimals are not exact (checked, as more than one program may set them), the functions that the exact
  macros use, and no change half put in place.
-#}
{%- macro prepare_spark() -%}
    {%- if execute and is_spark() and flags.WHICH in ('build', 'run', 'seed', 'test') -%}
        {%- for setting, value in {'ansi.enabled': 'true', 'decimalOperations.allowPrecisionLoss': 'false', 'session.timeZone': 'UTC'}.items() -%}
            {%- set found = run_query('set spark.sql.' ~ setting).rows[0][1] -%}
            {%- if found != value -%}{{ exceptions.raise_compiler_error('spark.sql.' ~ setting ~ ' is ' ~ found ~ ', not ' ~ value ~ ': amounts would be wrong') }}{%- endif -%}
        {%- endfor -%}
        {%- for statement in spark_functions() -%}{%- do run_query(statement) -%}{%- endfor -%}
        {%- for row in run_query("show tables in hand like '*__ready'").rows -%}{%- do put_in_place('hand.' ~ row[1]) -%}{%- endfor -%}
    {%- endif -%}
{%- endmacro -%}
