//! The manifest: whatever an object store gives back is refused or means the same when written again.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    if let Ok(manifest) = store::fuzzing::manifest(json) {
        let written = serde_json::to_vec(&manifest).expect("memory");
        assert_eq!(store::fuzzing::manifest(&written).expect("what is written is read"), manifest);
    }
});
