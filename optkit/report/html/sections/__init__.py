"""The sections of the page, one per file: each a function from the report to a `Section`, or None without data."""
