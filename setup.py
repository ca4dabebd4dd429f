"""Build the package with the scripts of ``analyses/`` in it, where ``workbench notebook`` finds
them.

In a checkout they stand next to the package, so that they can be run and edited; setuptools takes
no data from outside a package, so they are copied when one is built.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SCRIPTS = sorted(map(str, Path("analyses").rglob("*.py")))


class BuildWithScripts(build_py):
    """Copies the scripts into the package; an editable installation has the checkout's own."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for script in SCRIPTS:
                place = Path(self.build_lib, "workbench", script)
                self.mkpath(str(place.parent))
                self.copy_file(script, str(place))

    def get_source_files(self) -> list[str]:
        """Name the scripts too, so that a source distribution has them."""
        return [*super().get_source_files(), *SCRIPTS]

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Name the copies too."""
        copies = [str(Path(self.build_lib, "workbench", script)) for script in SCRIPTS]
        return [*super().get_outputs(include_bytecode), *copies]


setup(cmdclass={"build_py": BuildWithScripts})
