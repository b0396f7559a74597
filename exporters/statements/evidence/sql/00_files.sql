-- Step 0. Are the files those that were written? Every file's sha256 is held against manifest.json.
create or replace table manifest_files as
select
    listed.path,
    listed.sha256
from (
    select unnest(files) as listed
    from read_json('manifest.json', columns = {files: 'struct(path varchar, sha256 varchar)[]'})
) as manifest;

create or replace table files_checked as
select
    manifest_files.path,
    case
        when found.filename is null then 'MISSING'
        when sha256(found.content) != manifest_files.sha256 then 'ALTERED'
        else 'as written'
    end as file_is
from manifest_files
left join read_blob(['*.md', 'data/*.parquet', 'sql/*.sql']) as found
    on replace(found.filename, '\', '/') = manifest_files.path
    or ends_with(replace(found.filename, '\', '/'), '/' || manifest_files.path);

select
    file_is,
    count(*) as files,
    min(path) filter (where file_is != 'as written') as first_of_them
from files_checked
group by file_is
order by file_is;
