"""Reports from run folders: one HTML file, and the same tables as Markdown, CSV and JSON."""

from detoxlab.reports.build import build_report, write_report
from detoxlab.reports.explained.page import write_explained
from detoxlab.reports.files import FORMATS
from detoxlab.reports.read import read_study

__all__ = ["FORMATS", "build_report", "read_study", "write_explained", "write_report"]
