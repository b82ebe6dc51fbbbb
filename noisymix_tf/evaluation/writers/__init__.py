"""How a report looks: for a terminal, as Markdown, as one HTML page."""
