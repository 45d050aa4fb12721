"""The live state of branches: what has changed over committed trees, its journal, and the way down."""
