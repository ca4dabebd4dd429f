"""The stages of the loop: each joins the rooms it needs and keeps its results in its folder of the run."""
