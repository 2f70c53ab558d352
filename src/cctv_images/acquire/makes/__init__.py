"""The rows of the make table, by family. Their order is that of the documentation."""
