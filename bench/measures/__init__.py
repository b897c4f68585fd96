"""What is measured; each module takes the sizes of a run and returns rows of the report."""
