{#-
  Functions of whole numbers of 38 digits, and those that DuckDB has of its own. `%` on decimals is exact; a quotient keeps 20 digits before the point
  beside a divisor of 38, so that a small divisor divides by long division in digits of 10^19. `abs` and a minus sign round to 34 digits; `0 - x` does
  not. What is divided by 0 is null, where DuckDB raises unless a condition keeps it from being evaluated: around a function Spark knows no such condition.
-#}
{%- macro spark_functions() -%}
    {%- set digit = "10000000000000000000BD" -%}
    {{ return([
        "create or replace function main.short_div(a decimal(38, 0), b decimal(38, 0)) returns decimal(38, 0)"
            " return cast((a - a % nullif(b, 0)) / nullif(b, 0) as decimal(38, 0))",
        "create or replace function main.whole_div(a decimal(38, 0), b decimal(38, 0)) returns decimal(38, 0)"
            " return case when b >= " ~ digit ~ " or b <= 0 - " ~ digit ~ " or (a < " ~ digit ~ " and a > 0 - " ~ digit ~ ") then main.short_div(a, b)"
            " else main.short_div(main.short_div(a, " ~ digit ~ "), b) * " ~ digit ~
            " + main.short_div(main.short_div(a, " ~ digit ~ ") % nullif(b, 0) * " ~ digit ~ " + a % " ~ digit ~ ", b) end",
        "create or replace function main.sha256(text string) returns string return sha2(text, 256)"
    ]) }}
{%- endmacro -%}
