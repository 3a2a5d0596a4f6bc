"""From a float network to `.tflite` variants, and what they lose: quantization, imports, parity in both runtimes."""
