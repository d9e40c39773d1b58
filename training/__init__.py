"""Making encoders: `python -m training.distill --config training/configs/imagenette_kd.yaml`.

config        every option, as frozen dataclasses
distance_correlation, loss, schedule
the mathematics, on tensors
photos, plan, views
which photos, in which order, seen how
teacher       a teacher's embeddings, computed once
distiller     the LightningModule
monitor       k-NN accuracy on held-out photos while training
checkpointing, finish
                  last.ckpt, and the checkpoint folder in the end
    distill       the command
"""
