"""Making encoders: `python -m training.pretrain`, `training.distill`, `training.finetune`, `training.push`.

The commands, and what runs them:

pretrain, distill, finetune   the three commands: from a configuration to a checkpoint folder
command       their command line, one-line errors, exit codes
push, pin     a finished folder to the Hugging Face Hub, and its row to the catalogue
config        every option, as frozen dataclasses; the runs' own values are YAML files in `configs`
setup         what is checked before the first step: images, split, output folder
selfsupervised, fit           what pretraining and distillation share; the Lightning trainer
checkpointing, record, finish last.ckpt; the configuration in words; the checkpoint folder in the end
monitors      what is watched while training

The mathematics, on tensors:

distance_correlation, loss, objective, memory
representations               fixed representations of images
projection    random projections, and what they do to a distance correlation
optimiser, lars, schedule

What a step reads:

split, subsets, plan          which images, in which order
augment, examples, network_input  seen how
teacher, references, cache    what embeddings are made dependent on, computed once
student, learner, classifier  the network, and the LightningModules that train it
"""
