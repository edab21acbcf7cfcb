"""What Sphinx needs beside its own: formulas without scripts, links to the reference from code, and llms.txt."""
