//! The globals that a file may name: those that tensors are made of, and those that only hold data.

use super::dtype::{Dtype, storage_item};

/// What tensors are made of.
pub(super) fn is_tensor_part(module: &str, name: &str) -> bool {
    match (module, name) {
        ("collections", "OrderedDict") | ("torch", "Size" | "Tensor") => true,
        (
            "torch._utils",
            "_rebuild_tensor"
            | "_rebuild_tensor_v2"
            | "_rebuild_tensor_v3"
            | "_rebuild_parameter"
            | "_rebuild_parameter_with_state",
        ) => true,
        ("torch._tensor", "_rebuild_from_type_v2") | ("torch.nn.parameter", "Parameter" | "Buffer") => true,
        ("torch.storage", "UntypedStorage") => true,
        ("torch" | "torch.cuda", class) if storage_item(class).is_some() => true,
        ("torch", name) => Dtype::of_torch(name).is_some(),
        _ => false,
    }
}

/// What may stand beside tensors and be left out: names that do nothing but hold data.
pub(super) fn is_inert(module: &str, name: &str) -> bool {
    matches!(
        (module, name),
        ("builtins", "dict" | "list" | "tuple" | "set" | "frozenset" | "complex" | "slice" | "range" | "bytearray")
            | ("collections", "defaultdict" | "Counter" | "deque")
            | ("argparse", "Namespace")
            | ("pathlib", "PurePosixPath" | "PosixPath" | "PureWindowsPath" | "WindowsPath")
            | ("datetime", "datetime" | "date" | "time" | "timedelta")
            | ("torch", "device" | "layout" | "memory_format" | "strided" | "sparse_coo" | "sparse_csr" | "sparse_csc")
            | ("torch", "complex32" | "complex128" | "qint8" | "quint8" | "qint32" | "quint4x2" | "quint2x4")
            | ("torch", "per_tensor_affine" | "per_channel_affine" | "per_channel_affine_float_qparams")
            | ("torch.serialization", "_get_layout")
            | (
                "torch._utils",
                "_rebuild_qtensor"
                    | "_rebuild_sparse_tensor"
                    | "_rebuild_nested_tensor"
                    | "_rebuild_meta_tensor_no_storage"
            )
    )
}
