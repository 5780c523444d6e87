"""`report.html`: a run as one page that needs nothing else, neither a network nor a script."""
