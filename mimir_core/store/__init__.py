"""What must outlive a process: incidents, their history, and who works on them."""
