//! Names of R: functions that reach outside of the language, and kinds of values.

/// Functions of base R that run commands, load code or reach files and hosts.
pub(crate) fn reaches_out(name: &str) -> bool {
    runs_commands(name)
        || matches!(
            name,
            "source"
                | "sys.source"
                | "eval"
                | "evalq"
                | "parse"
                | "library"
                | "require"
                | "loadNamespace"
                | "requireNamespace"
                | "attachNamespace"
                | "do.call"
                | "Sys.setenv"
                | "unlink"
                | "file.remove"
                | "file.rename"
                | "file.copy"
                | "writeLines"
                | "writeBin"
                | "sink"
                | "cat"
                | "save"
                | "saveRDS"
                | "readRDS"
                | "load"
                | "url"
                | "file"
                | "socketConnection"
                | "assign"
                | ".Internal"
                | ".Primitive"
                | "py_run_string"
                | "py_run_file"
                | "install.packages"
                | "reg.finalizer"
                | "str2lang"
                | "str2expression"
                | "get"
                | "match.fun"
                | "Recall"
                | "delayedAssign"
                | "makeActiveBinding"
                | "setwd"
                | "quit"
                | "q"
        )
}

/// Those that no fitted model has a reason to call.
pub(crate) fn runs_commands(name: &str) -> bool {
    matches!(
        name,
        "system"
            | "system2"
            | "shell"
            | "shell.exec"
            | "pipe"
            | "dyn.load"
            | "download.file"
            | "curl_download"
            | "py_run_string"
            | "py_run_file"
            | "socketConnection"
            | "install.packages"
            | "unlink"
            | "file.remove"
    )
}

pub(super) fn kind_name(kind: u32) -> &'static str {
    match kind {
        1 => "symbol",
        2 => "pair-list",
        3 => "closure",
        4 => "environment",
        5 => "promise",
        6 => "call",
        7 | 8 => "builtin",
        9 => "text",
        10 => "logical",
        13 => "integer",
        14 => "real",
        15 => "complex",
        16 => "texts",
        17 => "dots",
        19 => "list",
        20 => "expression",
        21 => "byte-code",
        22 => "external-pointer",
        23 => "weak-reference",
        24 => "raw",
        25 => "s4",
        238 => "compact",
        247 => "persistent",
        248 => "package",
        249 => "namespace",
        _ => "other",
    }
}
