//! Texts that stand where a description is expected.

/// Markers that no description of a model has by accident: code that starts programs, or a template that reaches into
/// Python's objects.
pub(crate) fn reads_as_code(value: &str) -> bool {
    let inner = ["__class__", "__globals__", "__mro__", "__subclasses__", "__builtins__", "__import__"];
    let template = value.contains("{{") || value.contains("{%");
    (template && inner.iter().any(|name| value.contains(name)))
        || ["os.system(", "os.popen(", "subprocess.", "__import__("].iter().any(|call| value.contains(call))
}
