"""How a label, an image or a category came about; reads datasets only."""
