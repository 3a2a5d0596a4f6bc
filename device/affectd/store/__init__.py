"""Events kept on disk until the broker has them: the outbox, and its survival of bad files and full disks."""
