"""Run a model that is larger than memory, layer by layer, with every batch of prompts through a
layer before the next is read.

Only the embedding, the final norm and the head stay in memory; a layer's weights are read from
safetensors files when batches are waiting for it (:mod:`workbench.stream.layer_weights`). What is
to be computed of the batches are tasks (:mod:`workbench.stream.tasks`): plain functions that run
the model as ever. Each stops where the next layer begins; when all have, the layer is read and
they go through it one after another (:mod:`workbench.stream.rounds`). So a pass over a hundred
batches reads the weights once, and the engine above needs no second way to record, patch, read a
scale or write a text: the numbers are those of the model in memory.
"""
