"""Readers of public corpora; all of one kind give the same record, with speaker and licence."""
