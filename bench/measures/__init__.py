"""The measurements. Each module takes the sizes of a run and returns rows of the report."""
