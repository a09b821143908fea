"""What a ticket is and how it is drawn: tensors in, tensors out.

A round of pruning is a choice on orthogonal axes, one small file each:

    schedule    how much       constant, decaying, cubic, one_shot, listed
    allocation  where          Global, Layerwise, ERK; Excluding
    criterion   which          Magnitude, Random, Saliency, Snip, SynFlow, Wanda
    structure   what at once   Weights, Block, NM, Rows, Units, PerRow
    rewind      back to        rewind

``prune`` puts them together; ``Mask`` is what it returns.
"""
