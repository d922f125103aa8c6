"""What a camera and its triggers see, shown to whoever sets up a line."""
