"""Is everything in order that a line needs? One file a subject, :mod:`checkup` runs them all.

Nothing here is imported that the check of the wheels has not tried in a child before: a wheel
for another processor would end this process natively.
"""
