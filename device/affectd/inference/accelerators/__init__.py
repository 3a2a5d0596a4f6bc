"""What a model may run on, a file each behind one protocol, and how one is tried before it is believed."""
