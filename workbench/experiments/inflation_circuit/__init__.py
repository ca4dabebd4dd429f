"""Test whether a compact set of writers inflates stated confidence, on a finished run."""
