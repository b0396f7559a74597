{{ config(materialized='table') }}

with contract_spans as (

    select
        site_id,
        meter_id,
        contract_id,
        span_start,
        coalesce(span_end, {{ end_of_time() }}) as span_end
    from {{ ref('int_metering__contract_spans') }}

),

book_rows as (

    select
        site_id,
        meter_id,
        said,
        said_from,
        said_to
    from {{ ref('int_metering__book_rows') }}

)

select
    contract_spans.contract_id,
    contract_spans.site_id,
    contract_spans.meter_id,
    book_rows.said,
    greatest(contract_spans.span_start, book_rows.said_from) as said_from,
    least(contract_spans.span_end, book_rows.said_to) as said_to
from contract_spans
inner join book_rows
    on
        contract_spans.site_id = book_rows.site_id
        and (book_rows.meter_id is null or contract_spans.meter_id = book_rows.meter_id)
        and contract_spans.span_start < book_rows.said_to
        and contract_spans.span_end > book_rows.said_from
