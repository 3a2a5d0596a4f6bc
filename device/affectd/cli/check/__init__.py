"""`affectd check`: whether each part of the box works, and what to do where one does not."""
