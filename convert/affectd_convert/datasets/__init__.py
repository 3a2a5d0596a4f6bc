"""Readers of public corpora; all of one kind return the same record, with speaker and licence."""
