"""The page that gathers a run's figures, tables, sample answers and configuration, readable
offline from its folder.
"""

from workbench.report.page import Section, write_report
from workbench.report.results import Page, Results, write_page

__all__ = ["Page", "Results", "Section", "write_page", "write_report"]
