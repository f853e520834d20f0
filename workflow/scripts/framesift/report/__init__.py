"""Figures and the report of a table: what was measured, for a reader who asks whether to trust it.

`inputs` reads the files, `rows` the numbers of a table, `words` puts them into sentences; `figures` draws for files,
`interactive` for the browser; `gallery` and `thumbnails` show single questions, and `page` writes the report.
"""
