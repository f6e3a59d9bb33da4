"""The compressed query: a row number in encrypted bits, turned into selectors, the table pass and PackLWEs."""
