"""From a float TFLite graph to an int8 one that answers like it.

A float graph and a range for each of its tensors make an int8 model (:mod:`.recipe`); all that
is done for fidelity changes one of these. So each means is a function of its own, and trying one
costs half a second.
"""
