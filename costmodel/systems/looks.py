"""Colours, lines and marks of the systems: readable in grey and by the colour-blind, the same in every figure.

Okabe and Ito's palette without its yellow, and muted colours of Tol's. Neighbours in the list of systems differ in
lightness as well as in hue.
"""

from __future__ import annotations

from costmodel.system import Look

CHEETAH = Look("#E69F00", "--", "s", "#E69F00", "////")
FASTQUERY = Look("#000000", "-", "o", "#4D4D4D", "")
IRON = Look("#0072B2", "-.", "^", "#56B4E9", "....")
BUMBLEBEE = Look("#56B4E9", ":", "D", "#F2F2F2", "xxxx")
CHAM = Look("#D55E00", (0, (6, 1.5, 1, 1.5, 1, 1.5)), "v", "#D55E00", "\\\\\\\\")
CRYPTFLOW2 = Look("#009E73", (0, (8, 3)), "P", "#009E73", "----")
CIPHERGPT = Look("#999933", (0, (1, 3)), "X", "#CCCC88", "oo")
SPU_FM32 = Look("#882255", (0, (3, 1)), "*", "#C48AA0", "||||")
SPU_FM64 = Look("#AA4499", (0, (10, 2, 3, 2)), "<", "#DDB3DD", "++++")
FOLDED = Look("#CC79A7", (0, (5, 1)), ">", "#CC79A7", "xx")
COMPRESSED = Look("#44AA99", (0, (3, 1, 1, 1)), "h", "#9FD8CE", "//")
BUCKETED = Look("#332288", (0, (6, 2, 1, 2)), "d", "#8877CC", "**")
