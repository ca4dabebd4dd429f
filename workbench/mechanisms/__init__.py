"""Confirm or contradict published works on how verbal confidence is made: what each claims, how it
is tested, and the rule that decides, stated before or said to be changed since.

A work is one file of :mod:`workbench.mechanisms.works` and one row of
:data:`workbench.mechanisms.catalogue.WORKS`. The file defines ``WORK``, a
:class:`~workbench.mechanisms.work.Work`:

1. its *quantities*: everything that a test measures, each an
   :class:`~workbench.measure.interval.Estimate` under a name; controls are quantities too, marked
   as such, so that a page shows them beside the effects;
2. its *claims*: the arXiv number, the claim in a sentence, the rule as text and as a function
   ``decide`` over the estimates, and the published figures with their place in the paper, or None
   where none is known. A rule gives ``confirmed``, ``contradicted`` or ``cannot tell``, and
   :mod:`workbench.mechanisms.outcomes` has what rules are made of;
3. the *worlds* of each claim: functions that simulate its estimates where the claim is true, and
   where it is false, by size of the effect. ``workbench bench mechanisms`` measures the rule's
   power and errors on them.

The experiment of a work, ``workbench experiment NAME``, is a row of
:mod:`workbench.experiments.mechanism_rows`. It measures the quantities on a finished run and hands
them to :func:`~workbench.mechanisms.record.record_stage`, its last stage, which seals a
:class:`~workbench.mechanisms.record.MechanismRecord` for each condition of the model in the run's
folder, with the rules' words. :func:`~workbench.mechanisms.page.mechanism_page` makes the page.
:func:`~workbench.mechanisms.gather.gather` reads the records of several runs into one table over
works, models and seeds, and ``docs/record_mechanisms.py`` writes it to
``docs/results/mechanisms.md``.

A verdict is about one model, one set of questions and one way of asking. A claim that is confirmed
here may be true for another reason than its authors give.
"""
