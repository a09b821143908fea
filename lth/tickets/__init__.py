"""What a ticket is and how it is drawn: tensors in, tensors out.

A round of pruning is a choice on orthogonal axes, one small file each:

    schedule    how much   constant, decaying
    allocation  where      Global, Layerwise
    criterion   which      Magnitude, Random
    rewind      back to    rewind

``prune`` puts them together; ``Mask`` is what it returns.
"""
