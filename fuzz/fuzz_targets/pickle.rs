//! Bytes as a file of pickles: nothing is read beyond its end, and facts survive storage.
#![no_main]

use gauntlet_fuzz::{assert_stored, budget};
use gauntlet_limits::Cursor;
use gauntlet_pickle::{Options, interpret, looks_like_pickle};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let bytes = data.to_vec();
    let options = Options { nested_depth: 3, search_bytes: 1 << 16, search_steps: 100_000 };
    let mut facts = interpret(&mut Cursor::new(&bytes, 0), &budget(), &options);
    for stream in facts.streams.iter().filter(|stream| stream.within.is_none()) {
        assert!(stream.offset + stream.len <= bytes.len() as u64, "a stream ends behind its file");
    }
    for gap in facts.gaps.iter().filter(|gap| gap.within.is_none()) {
        assert!(gap.offset + gap.len <= bytes.len() as u64, "a gap ends behind its file");
        assert!(gap.searched <= gap.len, "more was searched than is there");
    }
    if facts.limit.is_none() && facts.streams_unlisted == 0 {
        let streams = facts.streams.iter().filter(|stream| stream.within.is_none()).map(|stream| stream.len);
        let gaps = facts.gaps.iter().filter(|gap| gap.within.is_none()).map(|gap| gap.len);
        let storages = facts.torch_legacy.as_ref().map_or(0, |torch| torch.storage_bytes);
        let told = streams.chain(gaps).sum::<u64>() + storages;
        assert_eq!(told, bytes.len() as u64, "bytes that the facts do not account for");
    }
    // What the gate reads on its own is not stored.
    facts.foreign.clear();
    facts.sources.clear();
    assert_stored(&facts);
    let _ = looks_like_pickle(&bytes, true);
    let _ = looks_like_pickle(&bytes, false);
});
