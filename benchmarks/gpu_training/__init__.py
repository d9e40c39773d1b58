"""Distillation with all photos in GPU memory, for `benchmarks/distill_on_gpu.py`.

pack       photo folders to shards of small files, and shards to square arrays
photos     the photos on the device, and their crops
options    the options of a run, and its configuration; the recipes and the arms
module     the training module, which makes its views on the device
dev        labeled photos that are not trained on, and their vectors
figures    their retrieval, in processes beside the training
run        one run: from options to weights, resumable
arms       the recipe search
convert    from weights to a checkpoint folder
"""
