"""The page that gathers a run's figures, tables, sample answers and configuration, readable
offline from its folder.
"""

from workbench.report.page import Section, write_report

__all__ = ["Section", "write_report"]
