"""Pins that live in a file, so that other processes see them and they outlive their owner.

With this folder's parent on ``PYTHONPATH``, ``GPIOZERO_PIN_FACTORY=linegate`` and
``LINEGATE_TEST_PINS`` naming the file, gpiozero uses them in any process.
"""
