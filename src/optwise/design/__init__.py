"""Where to look: which points of a space a study tries, and the seeds that make them."""
