"""A proven bundle out of a run or a model of one's own: manifest, golden samples, card, provenance."""
