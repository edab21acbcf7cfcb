"""From and to OpenQASM 3. The parser is imported on use."""
