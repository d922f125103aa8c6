"""What a training leaves for people: a report, a model card, the predictions."""
