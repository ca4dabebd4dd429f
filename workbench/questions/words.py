"""List English words that tell a name from a word by their case, and words that negate a statement.

``CLOSED_CLASS`` are function words (articles, pronouns, prepositions, conjunctions, auxiliaries and
the adverbs nearest to them), which are a closed list in English; ``CAPITONYMS`` are names that mean
something else in lower case. Names of one or two letters have a separate list, because they must be
spelt exactly.
"""

from __future__ import annotations

ARTICLES = frozenset({"a", "an", "the"})
_SHORT = """
a ah am an as at be by do go ha he hi i if in is it la lo
me my no of oh ok on or os pa so to up us we ye
"""
SHORT_WORDS = frozenset(_SHORT.split())
_CLOSED = """
about above across after again against all almost along already also although always among and another any anybody anyone anything
are around because been before behind being below beneath beside between beyond both but can cannot could did does doing down during
each either else enough even ever every everybody everyone everything few for from had has have having hence her here hers herself
him himself his how however into its itself just least less many may might more most much must myself near neither never nobody none
nor not nothing now off often once one only onto other others ought our ours out over own per perhaps quite rather same shall she
should since some somebody someone something soon still such than that the their theirs them then there therefore these they thing this
those though through thus till too toward under until upon very was well were what when where whether which while who whom whose why
will with within without would yet you your yours
"""
CLOSED_CLASS = SHORT_WORDS | frozenset(_CLOSED.split())
_TWO_MEANINGS = """
amber art august bath bill bob buffalo cancer chase china chip church cork crystal daisy dawn don drew earnest ebony
faith frank ginger grace grant guy hope ivory ivy jack jade jersey job joy lent lily march
mark mars mass matt mercury mobile muse nice norm olive opal orange pat pearl peg polish ray reading rich rob robin rock
rose ruby rugby rusty sandy saturn scone sparrow stone sue summer swift tangier turkey victor violet wade warren
welsh will wolf yes
"""
CAPITONYMS = frozenset(_TWO_MEANINGS.split())
_DENYING = """
not nor neither never without cannot than except isnt wasnt arent werent dont doesnt didnt cant couldnt wouldnt shouldnt
"""
NEGATIONS = frozenset(_DENYING.split())
