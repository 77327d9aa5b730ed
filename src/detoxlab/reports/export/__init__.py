"""The figures of a report as files: SVG by our own drawing, PNG by resvg."""

from detoxlab.reports.export.write import figures_of, write_figures

__all__ = ["figures_of", "write_figures"]
