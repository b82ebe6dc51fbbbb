"""How a comparison looks: Markdown, CSV, LaTeX, JSON, one page of HTML."""
