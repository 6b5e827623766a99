//! Which builtins a policy may call. Absent is all that reads a clock, draws random numbers, reaches the network or the
//! environment, prints, or can be made to allocate without bound by one call.

/// Builtins that a policy may call.
pub(super) const ALLOWED: &[&str] = &[
    "abs",
    "array.concat",
    "array.reverse",
    "array.slice",
    "base64.decode",
    "base64.encode",
    "base64.is_valid",
    "base64url.decode",
    "base64url.encode",
    "bits.and",
    "bits.or",
    "bits.xor",
    "ceil",
    "concat",
    "contains",
    "count",
    "endswith",
    "floor",
    "format_int",
    "glob.match",
    "graph.reachable",
    "hex.decode",
    "hex.encode",
    "indexof",
    "intersection",
    "is_array",
    "is_boolean",
    "is_null",
    "is_number",
    "is_object",
    "is_set",
    "is_string",
    "json.is_valid",
    "json.marshal",
    "json.unmarshal",
    "lower",
    "max",
    "min",
    "net.cidr_contains",
    "net.cidr_is_valid",
    "object.filter",
    "object.get",
    "object.keys",
    "object.remove",
    "object.subset",
    "object.union",
    "object.union_n",
    "product",
    "regex.is_valid",
    "regex.match",
    "regex.replace",
    "regex.split",
    "replace",
    "round",
    "semver.compare",
    "semver.is_valid",
    "sort",
    "split",
    "sprintf",
    "startswith",
    "strings.any_prefix_match",
    "strings.any_suffix_match",
    "strings.count",
    "strings.reverse",
    "substring",
    "sum",
    "time.add_date",
    "time.date",
    "time.parse_duration_ns",
    "time.parse_ns",
    "time.parse_rfc3339_ns",
    "time.weekday",
    "to_number",
    "trim",
    "trim_left",
    "trim_prefix",
    "trim_right",
    "trim_space",
    "trim_suffix",
    "type_name",
    "union",
    "units.parse",
    "units.parse_bytes",
    "upper",
];

/// Allowed builtins that fail on values of the right type, or are undefined even in the strict profile: under `not` that
/// would read as truth.
pub(super) const FALLIBLE: &[&str] = &[
    "array.slice",
    "base64.decode",
    "base64url.decode",
    "bits.and",
    "bits.or",
    "bits.xor",
    "glob.match",
    "graph.reachable",
    "hex.decode",
    "json.unmarshal",
    "max",
    "min",
    "net.cidr_contains",
    "regex.match",
    "regex.replace",
    "regex.split",
    "semver.compare",
    "time.add_date",
    "time.date",
    "time.parse_duration_ns",
    "time.parse_ns",
    "time.parse_rfc3339_ns",
    "time.weekday",
    "to_number",
    "units.parse",
    "units.parse_bytes",
];

pub(super) fn allowed(name: &str) -> bool {
    ALLOWED.binary_search(&name).is_ok()
}

pub(super) fn fallible(name: &str) -> bool {
    FALLIBLE.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_nested() {
        assert!(ALLOWED.is_sorted() && FALLIBLE.is_sorted());
        assert!(FALLIBLE.iter().all(|name| allowed(name)));
    }

    #[test]
    fn nothing_that_varies_between_runs_is_allowed() {
        for name in [
            "http.send",
            "opa.runtime",
            "time.now_ns",
            "rand.intn",
            "uuid.rfc4122",
            "net.lookup_ip_addr",
            "trace",
            "print",
            "numbers.range",
            "numbers.range_step",
            "walk",
            "net.cidr_expand",
        ] {
            assert!(!allowed(name), "{name}");
        }
    }
}
