"""A person at the table of a task: hands, head and eyes in MuJoCo, for the human rows of the paper's Table I."""
