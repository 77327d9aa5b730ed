"""The figures of a report, as Plotly data that needs no Plotly to be made."""
