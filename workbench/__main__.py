"""``python -m workbench`` is the ``workbench`` command."""

from workbench.cli.app import app

if __name__ == "__main__":
    app()
