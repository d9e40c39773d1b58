"""Export encoders to ONNX files that run without PyTorch, each with a parity report (`mvmr-export`).

cli             the commands onnx, check and bench
write           export a model to a folder
check           repeat a parity report with ONNX Runtime alone
bench           compare engines and dtypes

options         export options
source          the PyTorch model to export
photos          calibration and measurement photos
convert         PyTorch to model.onnx: half (fp16), int8 with layer_search, stages (preprocessing, classifier)
reference       PyTorch outputs for the measured photos
measure         agreement, accuracy and speed of model.onnx
limits          limits that a parity report must meet
parity_report   export.json

`mvmr_zoo.load` runs exported folders and does not need this package.
"""
