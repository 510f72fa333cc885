"""The words: templates for educational context and for exercises, by language."""
