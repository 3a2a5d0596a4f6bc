"""Training on a rented GPU: what is packed for it, what runs there, and what is made of what comes back."""
