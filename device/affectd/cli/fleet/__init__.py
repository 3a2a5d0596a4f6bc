"""`affectd fleet`: every box of a broker in one table."""
