//! Bytes as a data contract: expressions and patterns in it are parsed, too. One that is taken is written and read again.
#![no_main]

use gauntlet_data::contract::Contract;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| match Contract::parse("contract.yaml", data) {
    Ok(contract) => {
        let bytes = serde_json::to_vec(&contract).expect("a contract is written");
        let again = Contract::parse("contract.yaml", &bytes).expect("what we write is read");
        assert_eq!(serde_json::to_vec(&again).expect("a contract is written"), bytes, "writing twice differs");
    }
    Err(errors) => assert!(!errors.is_empty(), "refused without a reason"),
});
