"""Running for months: component threads, health, and the privacy switch."""
