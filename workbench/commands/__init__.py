"""Commands with many options, one file each; ``workbench.cli`` gathers them."""
