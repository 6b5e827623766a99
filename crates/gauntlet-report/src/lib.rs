//! Report formats: human, JSON, SARIF, JUnit, Markdown, HTML.
