//! Texts that stand where a description is expected.

/// Markers that no description of a model has by accident: code that starts programs, or a template that reaches into
/// Python's objects.
pub(crate) fn reads_as_code(value: &str) -> bool {
    let inner = ["__class__", "__globals__", "__mro__", "__subclasses__", "__builtins__", "__import__"];
    let template = value.contains("{{") || value.contains("{%");
    (template && inner.iter().any(|name| value.contains(name)))
        || ["os.system(", "os.popen(", "subprocess.", "__import__("].iter().any(|call| value.contains(call))
        || ["exec(", "eval("].iter().any(|call| begins_call(value, call))
}

/// Whether `call` stands at the beginning of the text, or of a statement in it.
fn begins_call(value: &str, call: &str) -> bool {
    value.split(['\n', ';', '=']).any(|statement| statement.trim_start().starts_with(call))
}
