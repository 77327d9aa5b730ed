"""The figures of a report, as data for Plotly; making them needs no Plotly."""
