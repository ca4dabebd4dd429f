"""Define the one exception a user's mistake raises: a sentence naming the mistake and the mend."""


class WorkbenchError(ValueError):
    """A mistake in input, configuration or environment that the person running the workbench can
    mend.

    The command line shows its message without a traceback; the library raises it like any other
    error.
    """
