"""The networks of the papers, one file each; all return logits, the softmax is the device's."""
