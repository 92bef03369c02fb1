"""One module a format: find out whether a file is of it, check that it decodes fully, and give its pixels."""
