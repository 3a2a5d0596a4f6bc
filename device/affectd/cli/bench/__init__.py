"""`affectd bench`: what each stage and the whole daemon cost on this box."""
