"""`firsthand doctor`: before a run, which thing is missing or silent, and what to do. One module a group of checks."""
