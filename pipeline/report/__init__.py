"""Pictures of a run for people: a contact sheet per character, figures of the whole, and one page that shows them."""

from pipeline.report.options import ReportOptions

__all__ = ["ReportOptions"]
