"""What reports are made of: pages that need no other file, figures, exact statistics."""
