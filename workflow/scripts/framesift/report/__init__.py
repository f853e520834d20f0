"""Figures and the report of a table.

`inputs` reads the files and `summary` puts the numbers into sentences. `figure_data` describes each figure; `figures`
draws it into a file, `interactive` into the page. `gallery` and `thumbnails` show single questions, and `page` writes
the report.
"""
