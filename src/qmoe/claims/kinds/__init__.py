"""The kinds of tests that a claim can ask for, one a file; `qmoe.claims.spec` lists them."""
