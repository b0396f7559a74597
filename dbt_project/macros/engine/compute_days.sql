{#-
  The loop of the `day_by_day` model. `noted` is that model's table: one row per site and UTC day, its `state` being `wanted` (to be
  computed), `computed` (usage inside the day is; what reaches over its bounds is not) or `settled`; is_told once marts had it.
  `wanted_sql` gives the days whose readings or book differ from what was computed, with the digest of their readings and why.
-#}
{% macro compute_days(noted, wanted_sql, plan, digest) -%}
    {%- set relations = {} -%}
    {%- for table in plan -%}{%- do relations.update({table.name: table.relation}) -%}{%- endfor -%}
    {%- set days = relations.int_metering__days_in_hand -%}
    {%- set touched = relations.int_metering__touched_dates -%}
    {%- do run_query(
        'create table if not exists ' ~ noted ~ ' (site_id varchar, usage_date date, rows_digest varchar, rows_listed bigint, why varchar,'
        ~ ' run_no bigint, is_told boolean, state varchar, rules_digest varchar)'
    ) -%}
    {%- set run_no = run_query(
        'select coalesce(max(run_no), 0) + 1 from (select run_no from ' ~ noted ~ ' union all select run_no from ' ~ touched
        ~ ' union all select run_no from ' ~ relations.int_metering__runs_done ~ ')'
    ).rows[0][0] -%}
    {%- do run_query(
        'insert into ' ~ relations.int_metering__this_run ~ ' values (' ~ run_no ~ ", timestamptz '"
        ~ (env_var('M2C_NOW', '') or run_started_at) ~ "')"
    ) -%}
    {%- do forget_other_rules(noted, touched, run_no, plan, digest) -%}
    {%- do run_query('create or replace temp table wanted_days as ' ~ wanted_sql) -%}
    {%- do run_query(
        'merge into ' ~ noted ~ ' as noted using wanted_days'
        ~ ' on (noted.site_id = wanted_days.site_id and noted.usage_date = wanted_days.usage_date)'
        ~ " when matched then update set state = 'wanted', why = wanted_days.why, rows_digest = wanted_days.rows_digest,"
        ~ ' rows_listed = wanted_days.rows_listed'
        ~ ' when not matched then insert values (wanted_days.site_id, wanted_days.usage_date, wanted_days.rows_digest,'
        ~ ' wanted_days.rows_listed, wanted_days.why, ' ~ run_no ~ ", false, 'wanted', '" ~ digest ~ "')"
    ) -%}
    {#- The earliest days first: an interval that reaches into a later day is known when that day is at work. -#}
    {%- set loop_state = namespace(is_done=false) -%}
    {%- for _ in range(100000) if not loop_state.is_done -%}
        {%- do run_query('delete from ' ~ days) -%}
        {%- do run_query(
            'insert into ' ~ days ~ ' select site_id, usage_date from ('
            ~ 'select site_id, usage_date, rows_listed, sum(rows_listed) over (order by usage_date, site_id) as rows_so_far from ' ~ noted
            ~ " where state = 'wanted') as waiting where rows_so_far <= greatest(rows_listed, " ~ readings_at_once() ~ ')'
        ) -%}
        {%- set loop_state.is_done = run_query('select count(*) from ' ~ days).rows[0][0] == 0 -%}
        {%- if not loop_state.is_done -%}
            {%- do compute_days_in_hand(noted, days, run_no, plan) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if not loop_state.is_done -%}
        {{ exceptions.raise_compiler_error('more days are to be computed than one run can; the next one goes on') }}
    {%- endif -%}
    {%- for table in plan if not table.kept and 'days' in table.meta.phase -%}
        {%- do run_query('create or replace table ' ~ table.relation ~ ' as from ' ~ table.now ~ ' limit 0') -%}
    {%- endfor -%}
    {%- do compute_spans_in_hand(noted, touched, run_no, plan, relations) -%}
{%- endmacro %}

{#- Usage inside the days in hand, kept in one transaction with the note that it was computed. -#}
{% macro compute_days_in_hand(noted, days, run_no, plan) -%}
    {%- set in_hand = '(site_id, usage_date) in (select (site_id, usage_date) from ' ~ days ~ ')' -%}
    {%- do take_readings_in_hand(days) -%}
    {%- for table in plan if not table.kept and 'days' in table.meta.phase -%}
        {%- do run_query('create or replace table ' ~ table.relation ~ ' as from ' ~ table.now) -%}
    {%- endfor -%}
    {%- set steps = ['begin'] -%}
    {%- do steps.append('update ' ~ noted ~ " set state = 'computed', run_no = " ~ run_no ~ ' where ' ~ in_hand) -%}
    {%- for table in plan if table.kept and table.meta.phase == 'days' -%}
        {%- set old_rows = 'select * from ' ~ table.relation ~ ' where ' ~ in_hand -%}
        {%- if table.meta.get('wakes') -%}
            {#- An interval that reaches into later days may overlap what is there. Days of this chunk met each other already. -#}
            {%- do run_query(
                'create or replace temp table woken_days as'
                ~ ' with changed as (' ~ difference('select * from ' ~ table.now, old_rows) ~ ')'
                ~ ' select noted.site_id, noted.usage_date, ' ~ reasons_together('waking.why') ~ ' as why from ' ~ noted
                ~ ' as noted inner join changed'
                ~ ' on noted.site_id = changed.site_id and noted.usage_date > changed.usage_date'
                ~ ' and noted.usage_date <= ' ~ utc_date('changed.interval_end - interval 1 microsecond')
                ~ ' inner join ' ~ noted ~ ' as waking on changed.site_id = waking.site_id and changed.usage_date = waking.usage_date'
                ~ ' where (noted.site_id, noted.usage_date) not in (select (site_id, usage_date) from ' ~ days ~ ')'
                ~ ' group by noted.site_id, noted.usage_date'
            ) -%}
            {%- do steps.append(
                'update ' ~ noted ~ " as noted set state = 'wanted', why = woken_days.why from woken_days"
                ~ ' where noted.site_id = woken_days.site_id and noted.usage_date = woken_days.usage_date'
            ) -%}
        {%- endif -%}
        {%- do steps.append('delete from ' ~ table.relation ~ ' where ' ~ in_hand) -%}
        {%- do steps.append('insert into ' ~ table.relation ~ ' from ' ~ table.now) -%}
    {%- endfor -%}
    {%- do run_query((steps + ['commit']) | join(';\n')) -%}
{%- endmacro %}

{#-
  What reaches over the bounds of days: each kept table of intervals and gaps by itself, as doing it again after a kill gives the same;
  the totals, and the note that all is done, in one transaction at the end.
-#}
{% macro compute_spans_in_hand(noted, touched, run_no, plan, relations) -%}
    {%- do run_query(
        'insert into ' ~ relations.int_metering__days_computed ~ ' select site_id, usage_date, why from ' ~ noted ~ " where state = 'computed'"
    ) -%}
    {%- do run_query('insert into ' ~ relations.int_metering__days_known ~ ' select site_id, usage_date from ' ~ noted ~ ' where is_told') -%}
    {%- do run_query(note_touched(
        touched, run_no,
        'select site_id, usage_date - 1 as first_date, usage_date + 1 as last_date, why from ' ~ noted ~ " where state = 'computed'"
    )) -%}
    {%- for table in plan if 'spans' in table.meta.phase -%}
        {%- if not table.kept -%}
            {%- do run_query('create or replace table ' ~ table.relation ~ ' as from ' ~ table.now) -%}
            {%- if table.name == 'int_metering__hulls' -%}
                {#- Should this run be killed, the next one does these again, whatever the book says by then. -#}
                {%- do run_query(
                    'begin;\ndelete from ' ~ relations.int_metering__pending_hulls ~ ';\ninsert into ' ~ relations.int_metering__pending_hulls
                    ~ ' from ' ~ table.relation ~ ';\ncommit'
                ) -%}
            {%- endif -%}
        {%- else -%}
            {%- set named = name_relations(table.meta.replaces, table.relation, relations) -%}
            {%- do run_query('create or replace temp table rows_now as from ' ~ table.now) -%}
            {%- set steps = ['begin'] -%}
            {%- if table.meta.get('touches') -%}
                {%- do steps.append(note_touched(
                    touched, run_no,
                    'select changed.site_id, ' ~ utc_date('changed.piece_start') ~ ' - 1 as first_date, ' ~ utc_date('changed.piece_end')
                    ~ ' + 1 as last_date, coalesce(days.why, case when changed.site_id in (select site_id from ' ~ relations.int_metering__hulls
                    ~ ") then 'book' else 'readings' end) as why from ("
                    ~ difference('select * from rows_now', 'select * from ' ~ table.relation ~ ' where ' ~ named)
                    ~ ') as changed left join (select distinct site_id, why from ' ~ relations.int_metering__days_computed
                    ~ ') as days on changed.site_id = days.site_id'
                )) -%}
            {%- endif -%}
            {%- do steps.append('delete from ' ~ table.relation ~ ' where ' ~ named) -%}
            {%- do steps.append('insert into ' ~ table.relation ~ ' from rows_now') -%}
            {%- do run_query((steps + ['commit']) | join(';\n')) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- do run_query(
        'insert into ' ~ relations.int_metering__daily_before ~ ' select * from ' ~ relations.usage_daily
        ~ ' where (site_id, usage_date) in (select (site_id, usage_date) from ' ~ touched ~ ' where not is_settled)'
    ) -%}
    {%- set steps = ['begin'] -%}
    {%- for table in plan if 'totals' in table.meta.phase -%}
        {%- if not table.kept -%}
            {%- do run_query('create or replace table ' ~ table.relation ~ ' as from ' ~ table.now) -%}
        {%- else -%}
            {%- set rows_now = 'rows_now_of_' ~ table.name -%}
            {%- do run_query('create or replace temp table ' ~ rows_now ~ ' as from ' ~ table.now) -%}
            {%- do steps.append('delete from ' ~ table.relation ~ ' where ' ~ name_relations(table.meta.replaces, table.relation, relations)) -%}
            {%- do steps.append('insert into ' ~ table.relation ~ ' from ' ~ rows_now) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- do steps.append('delete from ' ~ noted ~ " where state = 'computed' and rows_digest is null") -%}
    {%- do steps.append('update ' ~ noted ~ " set state = 'settled', is_told = true where state = 'computed'") -%}
    {%- do steps.append('update ' ~ touched ~ ' set is_settled = true where not is_settled') -%}
    {%- do steps.append('delete from ' ~ relations.int_metering__pending_hulls) -%}
    {%- do run_query((steps + ['commit']) | join(';\n')) -%}
{%- endmacro %}

{#-
  Where other rules computed what is kept, or nothing is noted, forget all but the daily usage, against which revisions are told, and
  want every day anew.
-#}
{% macro forget_other_rules(noted, touched, run_no, plan, digest) -%}
    {%- set is_other = run_query(
        "select count(*) = 0 or count(*) filter (where rules_digest != '" ~ digest ~ "') > 0 from " ~ noted
    ).rows[0][0] -%}
    {%- if is_other -%}
        {%- set steps = ['begin'] -%}
        {%- for table in plan if table.kept and not table.meta.get('remembers') -%}
            {%- if table.name == 'usage_daily' -%}
                {%- do steps.append(note_touched(
                    touched, run_no, "select site_id, usage_date as first_date, usage_date as last_date, 'code' as why from " ~ table.relation
                )) -%}
            {%- else -%}
                {%- do steps.append('delete from ' ~ table.relation) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- do steps.append(
            'update ' ~ noted ~ " set state = 'wanted', why = 'code', rows_digest = null, rows_listed = 0, rules_digest = '" ~ digest ~ "'"
        ) -%}
        {%- do run_query((steps + ['commit']) | join(';\n')) -%}
    {%- endif -%}
{%- endmacro %}

{#- One reason for several rows of a group. -#}
{% macro reasons_together(why) -%}
    case when bool_or({{ why }} = 'code') then 'code' when min({{ why }}) = max({{ why }}) then min({{ why }}) else 'book and readings' end
{%- endmacro %}

{#- Note that usage of the dates first_date to last_date of a site may differ from now on, and why. What was said first in a run stands. -#}
{% macro note_touched(touched, run_no, spans_sql) -%}
    merge into {{ touched }} as noted_dates using (
        select
            site_id,
            usage_date,
            {{ reasons_together('why') }} as why
        from (
            select site_id, why, cast(unnest(range(first_date, last_date + interval 1 day, interval 1 day)) as date) as usage_date
            from (select distinct * from ({{ spans_sql }}) as all_spans) as spans
        ) as dates_of_spans
        group by site_id, usage_date
    ) as dates
    on (noted_dates.site_id = dates.site_id and noted_dates.usage_date = dates.usage_date)
    when matched and not noted_dates.is_settled then update set run_no = {{ run_no }}
    when matched then update set run_no = {{ run_no }}, why = dates.why, is_settled = false
    when not matched then insert values (dates.site_id, dates.usage_date, {{ run_no }}, dates.why, false)
{%- endmacro %}

{#- The rows of either query that the other does not have. -#}
{% macro difference(one, other) -%}
    ({{ one }} except {{ other }}) union all ({{ other }} except {{ one }})
{%- endmacro %}

{% macro name_relations(condition, own, relations) -%}
    {{ condition | replace('[self]', own) | replace('[hulls]', relations.int_metering__hulls)
        | replace('[touched]', relations.int_metering__touched_dates) }}
{%- endmacro %}

{#- Readings that are worked on at once; each takes about half a kilobyte of memory while it is in hand. One day of a site is never divided. -#}
{% macro readings_at_once() -%}
    {{ env_var('M2C_READINGS_AT_ONCE', '3200000') | int }}
{%- endmacro %}

{#-
  Let the staging view read the files of the days in hand; where there are none, the typed file without rows that settles the columns. Not that one
  before the others: the first file is what the engine guesses the number of rows from, and it would join the wrong way round.
-#}
{% macro take_readings_in_hand(days) -%}
    {%- do run_query(
        'set variable landed_readings = (select case when count(*) = 0 then [\'' ~ empty_file('readings') ~ '\'] else list(path order by rows desc, path) end'
        ~ ' from ' ~ source('manifest', 'readings') ~ ' where not refused'
        ~ ' and (partition_key, date) in (select (site_id, usage_date) from ' ~ days ~ '))'
    ) -%}
{%- endmacro %}

{% macro empty_file(table) -%}
    {{ (env_var('M2C_DATA_DIR') ~ '/warehouse/manifest/empty_' ~ table ~ '.parquet') | replace("'", "''") }}
{%- endmacro %}
