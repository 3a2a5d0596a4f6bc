"""The protocols of the five papers behind the product, run again on the data at hand: `convert/PAPERS.md`."""
