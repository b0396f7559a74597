"""One module a step, in order. Fact tables may gain columns (nullable) and never lose any."""
