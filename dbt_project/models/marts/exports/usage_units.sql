select
    metric,
    unit,
    usage_metric,
    canonical_unit,
    cast(numerator as decimal(38, 0)) as numerator,
    cast(denominator as decimal(38, 0)) as denominator
from {{ ref('units') }}
