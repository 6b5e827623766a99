//! What other tools write becomes a contract, and what has no counterpart is named.

use super::*;

fn imported(text: &str) -> Imported {
    import_contract("suite", text.as_bytes()).unwrap()
}

const SUITE: &str = r#"{"name": "churn", "expectations": [
  {"type": "expect_column_values_to_be_between", "kwargs": {"column": "age", "min_value": 18.0, "max_value": 90.0, "mostly": 0.99}},
  {"type": "expect_column_values_to_be_of_type", "kwargs": {"column": "age", "type_": "int32"}},
  {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "plan"}, "severity": "warning"},
  {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "age"}},
  {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "plan", "value_set": ["basic", "pro"], "row_condition": "age >= 18 & country == \"DE\"", "condition_parser": "pandas"}},
  {"type": "expect_column_pair_values_a_to_be_greater_than_b", "kwargs": {"column_A": "total", "column_B": "monthly", "or_equal": true}},
  {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "zip", "regex": "^(?=x)"}},
  {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "total", "min_value": 1, "max_value": 2}},
  {"type": "expect_column_quantile_values_to_be_between", "kwargs": {"column": "total", "quantile_ranges": {"quantiles": [0.25, 0.5], "value_ranges": [[1, 2], [null, 3]]}}},
  {"type": "expect_column_kl_divergence_to_be_less_than", "kwargs": {"column": "total"}},
  {"type": "expect_compound_columns_to_be_unique", "kwargs": {"column_list": ["age", "plan"]}},
  {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1, "max_value": null}}
]}"#;

#[test]
fn a_suite_becomes_a_contract_and_what_has_no_counterpart_is_named() {
    let imported = imported(SUITE);
    insta::assert_snapshot!(imported.to_yaml());
    let again = Contract::parse("c.yaml", imported.to_yaml().as_bytes()).unwrap();
    assert_eq!(again, imported.contract, "what is printed is what was meant");
}

#[test]
fn a_suite_of_the_older_shape_is_the_same_contract() {
    let older = SUITE.replace("\"type\":", "\"expectation_type\":").replace("\"name\":", "\"expectation_suite_name\":");
    assert_eq!(imported(&older), imported(SUITE));
}

const SCHEMA: &str = "schema_type: dataframe\napi: pandas\ncolumns:\n  a:\n    dtype: int64\n    nullable: true\n    unique: true\n    in_range:\n      min_value: 1\n      max_value: 5\n      include_min: true\n      include_max: true\n    isin:\n    - 1\n    - 2\n  \
    b:\n    dtype: string[pyarrow]\n    required: false\n    str_matches: ^x\n  c:\n    dtype: float64\n    coerce: true\n    greater_than: 1.5\n    not_equal_to:\n      value: 3\n      raise_warning: true\n    in_range:\n      min_value: 0\n      max_value: 1\n      include_min: false\n      include_max: true\n    my_check: 1\n  \
    d:\n    dtype: datetime64[ns]\n    greater_than_or_equal_to: '2020-01-01 00:00:00'\nindex:\n- dtype: int64\nstrict: true\nunique:\n- a\n- b\n";

#[test]
fn a_schema_becomes_a_contract() {
    let imported = imported(SCHEMA);
    insta::assert_snapshot!(imported.to_yaml());
    assert_eq!(Contract::parse("c.yaml", imported.to_yaml().as_bytes()).unwrap(), imported.contract);
}

#[test]
fn checks_under_their_own_key_are_the_same() {
    let older = "schema_type: dataframe\ncolumns:\n  a:\n    dtype: int64\n    checks:\n      greater_than: 1\n      isin: [2, 3]\n    nullable: true\n";
    let newer = "schema_type: dataframe\ncolumns:\n  a:\n    dtype: int64\n    greater_than: 1\n    isin: [2, 3]\n    nullable: true\n";
    assert_eq!(imported(older), imported(newer));
}

#[test]
fn what_is_no_contract_of_another_tool_is_refused() {
    for (text, what) in [
        ("[1]", "neither"),
        ("a: 1", "neither"),
        ("{\"expectations\": []}", "no column"),
        ("{", "suite:1"),
        ("{\"expectations\": [1, {\"type\": 5, \"kwargs\": 3}]}", "no column"),
    ] {
        let error = import_contract("suite", text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(what), "{text}: {error}");
    }
}

#[test]
fn damaged_suites_and_schemas_neither_panic_nor_give_a_contract_that_is_not_sound() {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = move |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n as u64) as usize
    };
    for round in 0..600 {
        let mut bytes = [SUITE, SCHEMA][round % 2].as_bytes().to_vec();
        match round % 3 {
            0 => bytes.truncate(next(bytes.len())),
            1 => {
                for _ in 0..=round % 5 {
                    let at = next(bytes.len());
                    bytes[at] ^= 1 << next(8);
                }
            }
            _ => {
                let (from, to) = (next(bytes.len()), next(bytes.len()));
                let piece = bytes[from.min(to)..from.max(to)].to_vec();
                let at = next(bytes.len());
                bytes.splice(at..at, piece);
            }
        }
        if let Ok(imported) = import_contract("suite", &bytes) {
            assert!(Contract::parse("c", imported.to_yaml().as_bytes()).is_ok(), "{}", imported.to_yaml());
        }
    }
}
