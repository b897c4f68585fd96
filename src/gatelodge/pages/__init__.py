"""HTML doors: what every page shares."""
