"""The face path: find, track, judge, crop and classify faces."""
