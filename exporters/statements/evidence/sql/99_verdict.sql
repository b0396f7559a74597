-- Step 99. The verdict: the total, and whether every line, file and fact is as it should be.
create or replace table verdict as
with totals as (
    select
        statement.statement_id,
        statement.statement_number,
        statement.currency,
        statement.total as stated_total,
        coalesce(sum(compared.recomputed_amount) + sum(coalesce(compared.recomputed_tax, 0)), 0) as recomputed_total,
        coalesce(sum(compared.stated_amount) + sum(coalesce(compared.stated_tax, 0)), 0) as total_of_lines,
        count(compared.line_key) as lines,
        count(compared.line_key) filter (where not compared.is_equal) as lines_not_equal
    from 'data/statement.parquet' as statement
    left join compared
        on true
    group by all
),

counted as (
    select
        totals.*,
        (select count(*) from files_checked where file_is != 'as written') as files_not_as_written,
        (select count(*) from ledger_checked where not is_as_chained)
        + (select count(*) from lines_checked where not is_as_issued)
        + (select count(*) from content_checked where content_hash != hash_of_lines) as facts_not_as_in_the_ledger
    from totals
)

select
    *,
    lines_not_equal = 0 and stated_total = recomputed_total and stated_total = total_of_lines
    and files_not_as_written = 0 and facts_not_as_in_the_ledger = 0 as all_equal
from counted;

select
    coalesce(statement_number, statement_id) as statement,
    'recomputed ' || currency || ' ' || recomputed_total || ', stated ' || currency || ' ' || stated_total || ': '
    || case when stated_total = recomputed_total then 'equal' else 'NOT EQUAL' end as total,
    lines - lines_not_equal || ' of ' || lines || ' equal' as lines,
    files_not_as_written || ' altered or missing' as files,
    facts_not_as_in_the_ledger || ' altered' as ledger_facts,
    case when all_equal then 'ALL EQUAL' else 'NOT EQUAL' end as verdict
from verdict;
