"""Write the page that gathers figures, tables, sample answers and configuration, readable
offline.
"""

from workbench.report.page import Page, Section, Step, write_page
from workbench.report.plain_text import describe

__all__ = ["Page", "Section", "Step", "describe", "write_page"]
