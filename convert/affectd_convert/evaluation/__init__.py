"""How good a network is: predictions, metrics, calibration, cross-validation, robustness, cost, and their pictures."""
