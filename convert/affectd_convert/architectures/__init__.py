"""The networks of the papers, one file each; all give logits, the softmax is the device's."""
