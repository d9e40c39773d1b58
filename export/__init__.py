"""ONNX export, quantisation and certificates, on top of `mvmr_zoo`. Nothing is here yet."""
