"""The workstation half of affectd: train, quantize, prove and bundle the models the box runs."""
