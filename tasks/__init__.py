"""Plain functions: files in, files out."""
