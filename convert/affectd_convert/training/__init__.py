"""Training: what a batch is for each task, and the resumable loop both share."""
