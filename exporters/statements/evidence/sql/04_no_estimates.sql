-- Step 4. No site of this statement estimates: what no reading covers is not billed.
create or replace table estimates (
    site_id varchar,
    meter_id varchar,
    billing_timezone varchar,
    method varchar,
    interval_start timestamp,
    interval_end timestamp,
    nano hugeint
);
