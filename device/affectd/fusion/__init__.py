"""Face and voice into one emotion, smoothed over time; and when a change is an event."""
