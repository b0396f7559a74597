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
        'create table if not exists ' ~ noted ~ ' (site_id string, usage_date date, rows_digest string, rows_listed bigint, why string,'
        ~ ' run_no bigint, is_told boolean, state string, rules_digest string)' ~ (' using parquet' if is_spark() else '')
    ) -%}
    {%- set run_no = run_query(
        'select coalesce(max(run_no), 0) + 1 from (select run_no from ' ~ noted ~ ' union all select run_no from ' ~ touched
        ~ ' union all select run_no from ' ~ relations.int_metering__runs_done ~ ') as runs'
    ).rows[0][0] -%}
    {%- do run_query(
        'insert into ' ~ relations.int_metering__this_run ~ ' values (' ~ run_no ~ ', '
        ~ instant(env_var('M2C_NOW', '') or run_started_at) ~ ')'
    ) -%}
    {%- do forget_other_rules(noted, touched, run_no, plan, digest) -%}
    {%- set wanted = scratch('wanted_days') -%}
    {%- do remake(wanted, wanted_sql, is_scratch=true) -%}
    {%- do replace_rows([{
        'table': noted,
        'reads_itself': true,
        'where': '(site_id, usage_date) in (select wanted.site_id, wanted.usage_date from ' ~ wanted ~ ' as wanted)',
        'rows': 'select wanted.site_id, wanted.usage_date, wanted.rows_digest, wanted.rows_listed, wanted.why,'
            ~ ' coalesce(noted.run_no, ' ~ run_no ~ ') as run_no, coalesce(noted.is_told, false) as is_told, \'wanted\' as state,'
            ~ " coalesce(noted.rules_digest, '" ~ digest ~ "') as rules_digest from " ~ wanted ~ ' as wanted left join ' ~ noted
            ~ ' as noted on noted.site_id = wanted.site_id and noted.usage_date = wanted.usage_date'
    }]) -%}
    {#- The earliest days first: an interval that reaches into a later day is known when that day is at work. -#}
    {%- set loop_state = namespace(is_done=false) -%}
    {%- for _ in range(100000) if not loop_state.is_done -%}
        {%- do replace_rows([{
            'table': days,
            'rows': 'select site_id, usage_date from ('
                ~ 'select site_id, usage_date, rows_listed, sum(rows_listed) over (order by usage_date, site_id) as rows_so_far from ' ~ noted
                ~ " where state = 'wanted') as waiting where rows_so_far <= greatest(rows_listed, " ~ readings_at_once() ~ ')'
        }]) -%}
        {%- set loop_state.is_done = run_query('select count(*) from ' ~ days).rows[0][0] == 0 -%}
        {%- if not loop_state.is_done -%}
            {%- do compute_days_in_hand(noted, days, run_no, plan) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if not loop_state.is_done -%}
        {{ exceptions.raise_compiler_error('more days are to be computed than one run can; the next one goes on') }}
    {%- endif -%}
    {%- for table in plan if not table.kept and 'days' in table.meta.phase -%}
        {%- do run_query('truncate table ' ~ table.relation) -%}
    {%- endfor -%}
    {%- do compute_spans_in_hand(noted, touched, run_no, plan, relations) -%}
{%- endmacro %}

{#-
  Usage inside the days in hand, kept in one transaction with the note that it was computed. Spark replaces the folders of the days one table after the
  other: what wakes other days is noted before, and that these are computed after, so that after a kill they are done again.
-#}
{% macro compute_days_in_hand(noted, days, run_no, plan) -%}
    {%- set in_hand = '(site_id, usage_date) in (select days.site_id, days.usage_date from ' ~ days ~ ' as days)' -%}
    {%- do take_readings_in_hand(days) -%}
    {%- for table in plan if not table.kept and 'days' in table.meta.phase -%}
        {%- do refill(table.relation, 'select * from ' ~ table.now) -%}
    {%- endfor -%}
    {%- set woken = scratch('woken_days') -%}
    {%- set before = [] -%}
    {%- set steps = [] -%}
    {%- for table in plan if table.kept and table.meta.phase == 'days' -%}
        {%- if table.meta.get('wakes') -%}
            {#- An interval that reaches into later days may overlap what is there. Days of this chunk met each other already. -#}
            {%- do remake(
                woken,
                'with changed as (' ~ difference(table.now, table.relation, in_hand) ~ ')'
                ~ ' select noted.site_id, noted.usage_date, ' ~ reasons_together('waking.why') ~ ' as why from ' ~ noted
                ~ ' as noted inner join changed'
                ~ ' on noted.site_id = changed.site_id and noted.usage_date > changed.usage_date'
                ~ ' and noted.usage_date <= ' ~ utc_date('changed.interval_end - interval 1 microsecond')
                ~ ' inner join ' ~ noted ~ ' as waking on changed.site_id = waking.site_id and changed.usage_date = waking.usage_date'
                ~ ' where (noted.site_id, noted.usage_date) not in (select days.site_id, days.usage_date from ' ~ days ~ ' as days)'
                ~ ' group by noted.site_id, noted.usage_date',
                is_scratch=true
            ) -%}
            {%- do before.append({
                'table': noted,
                'reads_itself': true,
                'where': '(site_id, usage_date) in (select woken.site_id, woken.usage_date from ' ~ woken ~ ' as woken)',
                'rows': 'select noted.site_id, noted.usage_date, noted.rows_digest, noted.rows_listed, woken.why, noted.run_no, noted.is_told,'
                    ~ " 'wanted' as state, noted.rules_digest from " ~ noted ~ ' as noted inner join ' ~ woken ~ ' as woken'
                    ~ ' on noted.site_id = woken.site_id and noted.usage_date = woken.usage_date'
            }) -%}
        {%- endif -%}
        {%- do steps.append({'table': table.relation, 'where': in_hand, 'rows': 'select * from ' ~ table.now}) -%}
    {%- endfor -%}
    {%- set after = [{
        'table': noted,
        'reads_itself': true,
        'where': in_hand,
        'rows': 'select site_id, usage_date, rows_digest, rows_listed, why, cast(' ~ run_no ~ " as bigint) as run_no, is_told, 'computed' as state,"
            ~ ' rules_digest from ' ~ noted ~ ' where ' ~ in_hand
    }] -%}
    {%- if is_spark() -%}
        {%- do replace_rows(before) -%}
        {%- for step in steps -%}{%- do replace_folders(step.table, step.rows, ['site_id', 'usage_date'], days) -%}{%- endfor -%}
        {%- do replace_rows(after) -%}
    {%- else -%}
        {%- do replace_rows(before + steps + after) -%}
    {%- endif -%}
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
    {%- do replace_rows(note_touched(
        touched, run_no,
        'select site_id, usage_date - 1 as first_date, usage_date + 1 as last_date, why from ' ~ noted ~ " where state = 'computed'"
    )) -%}
    {%- for table in plan if 'spans' in table.meta.phase -%}
        {%- if not table.kept -%}
            {%- do refill(table.relation, 'select * from ' ~ table.now) -%}
            {%- if table.name == 'int_metering__hulls' -%}
                {#- Should this run be killed, the next one does these again, whatever the book says by then. -#}
                {%- do replace_rows([{'table': relations.int_metering__pending_hulls, 'rows': 'select * from ' ~ table.relation}]) -%}
            {%- endif -%}
        {%- else -%}
            {%- set named = name_relations(table.meta.replaces, table.relation, relations) -%}
            {%- set rows_now = scratch('rows_now') -%}
            {%- do remake(rows_now, 'select * from ' ~ table.now, is_scratch=true) -%}
            {%- set steps = [] -%}
            {%- if table.meta.get('touches') -%}
                {%- do steps.extend(note_touched(
                    touched, run_no,
                    'select changed.site_id, ' ~ utc_date('changed.piece_start') ~ ' - 1 as first_date, ' ~ utc_date('changed.piece_end')
                    ~ ' + 1 as last_date, coalesce(days.why, case when hulls.site_id is not null then \'book\' else \'readings\' end) as why from ('
                    ~ difference(rows_now, table.relation, named)
                    ~ ') as changed left join (select distinct site_id, why from ' ~ relations.int_metering__days_computed
                    ~ ') as days on changed.site_id = days.site_id left join (select distinct site_id from ' ~ relations.int_metering__hulls
                    ~ ') as hulls on changed.site_id = hulls.site_id'
                )) -%}
            {%- endif -%}
            {%- do steps.append({'table': table.relation, 'where': named, 'rows': 'select * from ' ~ rows_now}) -%}
            {%- do replace_rows(steps) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- do run_query(
        'insert into ' ~ relations.int_metering__daily_before ~ ' select ' ~ column_names(relations.int_metering__daily_before) | join(', ') ~ ' from '
        ~ relations.usage_daily ~ ' where (site_id, usage_date) in (select site_id, usage_date from ' ~ touched ~ ' where not is_settled)'
    ) -%}
    {%- set steps = [] -%}
    {%- for table in plan if 'totals' in table.meta.phase -%}
        {%- if not table.kept -%}
            {%- do refill(table.relation, 'select * from ' ~ table.now) -%}
        {%- else -%}
            {%- set rows_now = scratch('rows_now_of_' ~ table.name) -%}
            {%- do remake(rows_now, 'select * from ' ~ table.now, is_scratch=true) -%}
            {%- do steps.append({
                'table': table.relation, 'where': name_relations(table.meta.replaces, table.relation, relations),
                'rows': 'select * from ' ~ rows_now, 'partition': folders_of(table.meta)
            }) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- do steps.append({
        'table': noted,
        'reads_itself': true,
        'where': "state = 'computed'",
        'rows': "select site_id, usage_date, rows_digest, rows_listed, why, run_no, true as is_told, 'settled' as state, rules_digest from "
            ~ noted ~ " where state = 'computed' and rows_digest is not null"
    }) -%}
    {%- do steps.append({
        'table': touched,
        'reads_itself': true,
        'where': 'not is_settled',
        'rows': 'select site_id, usage_date, run_no, why, true as is_settled from ' ~ touched ~ ' where not is_settled'
    }) -%}
    {%- do steps.append({'table': relations.int_metering__pending_hulls}) -%}
    {%- do replace_rows(steps) -%}
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
        {%- set steps = [] -%}
        {%- for table in plan if table.kept and not table.meta.get('remembers') -%}
            {%- if table.name == 'usage_daily' -%}
                {%- do steps.extend(note_touched(
                    touched, run_no, "select site_id, usage_date as first_date, usage_date as last_date, 'code' as why from " ~ table.relation
                )) -%}
            {%- else -%}
                {%- do steps.append({'table': table.relation, 'partition': folders_of(table.meta)}) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- do steps.append({
            'table': noted,
            'reads_itself': true,
            'rows': "select site_id, usage_date, cast(null as string) as rows_digest, cast(0 as bigint) as rows_listed, 'code' as why, run_no, is_told,"
                ~ " 'wanted' as state, '" ~ digest ~ "' as rules_digest from " ~ noted
        }) -%}
        {%- do replace_rows(steps) -%}
    {%- endif -%}
{%- endmacro %}

{#- One reason for several rows of a group. -#}
{% macro reasons_together(why) -%}
    case when bool_or({{ why }} = 'code') then 'code' when min({{ why }}) = max({{ why }}) then min({{ why }}) else 'book and readings' end
{%- endmacro %}

{#- Note that usage of the dates first_date to last_date of a site may differ from now on, and why. What was said first in a run stands. -#}
{% macro note_touched(touched, run_no, spans_sql) -%}
    {%- set dates -%}
        select
            site_id,
            usage_date,
            {{ reasons_together('why') }} as why
        from (
            select site_id, why, {{ each_date('first_date', 'last_date') }} as usage_date
            from (select distinct * from ({{ spans_sql }}) as all_spans) as spans
        ) as dates_of_spans
        group by site_id, usage_date
    {%- endset -%}
    {%- set dates_in_hand = scratch('touched_now') -%}
    {%- do remake(dates_in_hand, dates, is_scratch=true) -%}
    {{ return([{
        'table': touched,
        'reads_itself': true,
        'where': '(site_id, usage_date) in (select dates.site_id, dates.usage_date from ' ~ dates_in_hand ~ ' as dates)',
        'rows': 'select dates.site_id, dates.usage_date, cast(' ~ run_no ~ ' as bigint) as run_no,'
            ~ ' case when noted_dates.is_settled = false then noted_dates.why else dates.why end as why, false as is_settled'
            ~ ' from ' ~ dates_in_hand ~ ' as dates left join ' ~ touched ~ ' as noted_dates'
            ~ ' on noted_dates.site_id = dates.site_id and noted_dates.usage_date = dates.usage_date'
    }]) }}
{%- endmacro %}

{#- The rows of one table that the other's rows of a condition are not, and the other way round. -#}
{% macro difference(one, other, condition) -%}
    {%- set columns = column_names(one) | join(', ') -%}
    {%- set rows = 'select ' ~ columns ~ ' from ' ~ one -%}
    {%- set other_rows = 'select ' ~ columns ~ ' from ' ~ other ~ ' where ' ~ condition -%}
    ({{ rows }} except {{ other_rows }}) union all ({{ other_rows }} except {{ rows }})
{%- endmacro %}

{#- By which columns Spark keeps a kept table in folders: those of which values are replaced whole. -#}
{% macro folders_of(meta) -%}
    {{ return(
        ['site_id', 'usage_date'] if meta.get('phase') == 'days'
        else {'date': ['site_id', 'usage_date'], 'run': ['run_no'], 'rated': ['period']}.get(meta.get('published_by'), [])
    ) }}
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
    {%- set in_hand = ' from ' ~ source('manifest', 'readings') ~ ' where not refused'
        ~ ' and (partition_key, date) in (select days.site_id, days.usage_date from ' ~ days ~ ' as days)' -%}
    {%- if is_spark() -%}
        {%- set paths = [] -%}
        {%- for row in run_query('select path' ~ in_hand ~ ' order by path').rows -%}{%- do paths.append(row[0]) -%}{%- endfor -%}
        {%- do take_landed(paths, 'readings') -%}
    {%- else -%}
        {%- do run_query(
            'set variable landed_readings = (select case when count(*) = 0 then [\'' ~ empty_file('readings') ~ '\'] else list(path order by rows desc, path) end'
            ~ in_hand ~ ')'
        ) -%}
    {%- endif -%}
{%- endmacro %}

{#- What the staging view of readings reads. -#}
{% macro readings_in_hand() -%}
    {%- if is_spark() -%}
        {%- if execute -%}{%- do take_landed([], 'readings') -%}{%- endif -%}
        {{- 'hand.landed_readings' -}}
    {%- else -%}
    read_parquet(coalesce(getvariable('landed_readings'), ['{{ empty_file('readings') }}']), hive_partitioning = false)
    {%- endif -%}
{%- endmacro %}

{% macro empty_file(table) -%}
    {{ (env_var('M2C_DATA_DIR') ~ '/warehouse/manifest/empty_' ~ table ~ '.parquet') | replace("'", "''") }}
{%- endmacro %}
