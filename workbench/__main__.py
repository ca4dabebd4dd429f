"""Run the ``workbench`` command by ``python -m workbench``."""

from workbench.cli.app import app

if __name__ == "__main__":
    app()
