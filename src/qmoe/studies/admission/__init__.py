"""What studies take - trials, memory, time - found by arithmetic on what their files say, before anything is built."""
