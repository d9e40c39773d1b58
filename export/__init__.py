"""Encoders as ONNX files that need no PyTorch, each with a certificate of what was lost (`mvmr-export`).

cli           onnx, check, bench
write         from a spec to an exported folder
check         a certificate repeated, with ONNX Runtime alone
bench         engines and dtypes side by side

options       what is asked of an export
source        what is exported
photos        to calibrate with and to measure on
convert       from PyTorch to a model.onnx: half (fp16), int8 with search, stages (preprocessing, classifier)
reference     what PyTorch answers
measure       what model.onnx answers: agreement, accuracy, speed
limits        what a certificate must show
certificate   export.json

`mvmr_zoo.load` runs what is written here, without this package.
"""
