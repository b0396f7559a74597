{{ config(materialized='ephemeral') }}

select
    unit,
    cast(numerator as bigint) as numerator,
    cast(denominator as bigint) as denominator
from (
    values
    ('Wh', 1000, 1),
    ('kWh', 1, 1),
    ('MWh', 1, 1000),
    ('GWh', 1, 1000000),
    ('J', 3600000, 1),
    ('kJ', 3600, 1),
    ('MJ', 18, 5),
    ('GJ', 9, 2500),
    ('s', 3600, 1),
    ('min', 60, 1),
    ('h', 1, 1),
    ('B', 1000000000, 1),
    ('kB', 1000000, 1),
    ('MB', 1000, 1),
    ('GB', 1, 1),
    ('TB', 1, 1000),
    ('KiB', 1000000000, 1024),
    ('MiB', 1000000000, 1048576),
    ('GiB', 1000000000, 1073741824),
    ('TiB', 1000000000, 1099511627776),
    ('l', 1, 1),
    ('m3', 1, 1000)
) as units (unit, numerator, denominator)
