//! The allocator, and how soon it gives memory back to the system.
//!
//! Owns nothing but that choice: limits on memory are the store's and the receivers'.

use libmimalloc_sys::{mi_option_set, mi_option_t};

/// glibc's allocator keeps what a burst of requests took; this one gives it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc.h, the same number in versions 2 and 3; the bindings have no name for it.
const PURGE_DELAY: mi_option_t = 15;

/// How long freed pages stay with the process, in milliseconds. mimalloc's second keeps what the last windows and blocks
/// took, 100 MB under full load; this costs no measurable CPU.
const PURGE_DELAY_MILLIS: std::ffi::c_long = 10;

/// Makes the allocator give freed memory back soon. To be called first of all.
#[expect(
    unsafe_code,
    reason = "mimalloc reads its options from the environment before any code runs, or from this call"
)]
pub(crate) fn give_back_soon() {
    // SAFETY: it sets a number that mimalloc reads when it purges; any value is valid and no memory is touched.
    unsafe { mi_option_set(PURGE_DELAY, PURGE_DELAY_MILLIS) };
}
