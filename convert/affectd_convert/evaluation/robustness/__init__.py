"""What adverse conditions cost: held-out faces and clips made worse as the field makes them, scored again."""
