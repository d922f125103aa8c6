"""What a network looks at: first filters, feature maps, and a heat map of what decides."""
