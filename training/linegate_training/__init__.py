"""From photographs to a trained model in a run folder.

``linegate_training.options.TrainOptions`` says what to train,
:func:`linegate_training.run.train` does it.
"""
