//! Bytes as a suite of Great Expectations or a schema of Pandera: what is translated is a sound contract.
#![no_main]

use gauntlet_data::contract::Contract;
use gauntlet_data::import_contract;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| if let Ok(imported) = import_contract("suite", data) {
    let again = Contract::parse("contract.yaml", imported.to_yaml().as_bytes()).expect("what we print is read");
    assert_eq!(again, imported.contract, "what we print means something else");
});
