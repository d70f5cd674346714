"""From a torch module to a pack: graph, parity, quantisation, TensorRT, benchmarks."""
