"""What a run found, as files and tables: JSON, JUnit, Markdown, the manifest and the terminal."""
