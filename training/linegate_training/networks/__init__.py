"""Networks by name: flat functional Keras models with raw pixels in and probabilities out."""
