"""Lists of labels and names, whatever source they are of: blocks of lines, tables, confidences, rights."""
