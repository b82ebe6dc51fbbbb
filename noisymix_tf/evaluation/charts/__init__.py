"""Charts of a report as inline SVG, drawn in the colours of the page.

The colours are the properties `--ours`, `--theirs`, `--ink`, `--soft` and
`--line` of the page's style (`writers/style.py`), so that one drawing serves
light and dark screens and paper.
"""
