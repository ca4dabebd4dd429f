"""Load question sets from the Hugging Face hub: a table of published layouts, the readers that
describe them, and one loader.
"""

from workbench.questions.hub.load import hub_questions
from workbench.questions.hub.table import HUB_SETS, HubSet, hub_set

__all__ = ["HUB_SETS", "HubSet", "hub_questions", "hub_set"]
