"""What Sphinx needs beside its own: formulas without scripts, lines that fit, links from code to the reference, llms.txt."""
