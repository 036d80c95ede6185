"""Scripts that measure the project against its peers, both sides in one run."""
