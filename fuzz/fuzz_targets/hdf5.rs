//! Bytes as an HDF5 file: structure read, windows opened, and the facts survive storage.
#![no_main]

use gauntlet_fuzz::{assert_stored, limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(mut facts) = gauntlet_hdf5::exercise(data, &limits()) {
        // Values are not stored.
        facts.attributes.iter_mut().for_each(|attribute| attribute.value = Default::default());
        facts.datasets.iter_mut().for_each(|dataset| dataset.value = Default::default());
        assert_stored(&facts);
    }
});
