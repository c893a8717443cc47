//! Puts a block while it is written, so that no more of it than a few parts is in memory.
//!
//! A small block is put whole at the end. A large one goes up in parts; until the last of them is confirmed the object does
//! not exist. Parts of an upload that never ends are left behind: object stores remove them by a rule of the bucket.

use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use tokio::runtime::Handle;

use crate::Error;
use crate::cold::{BlockEntry, complete};
use crate::offload::{MULTIPART_BYTES, put_block};

/// Size of a part: all are equal, as some object stores demand.
const PART_BYTES: usize = 8 << 20;

/// Parts on their way at once, each in memory.
const PARTS_AT_ONCE: usize = 2;

/// An object on its way.
pub(super) struct Upload {
    objects: Arc<dyn ObjectStore>,
    handle: Handle,
    path: Path,
    /// Bytes before the first part; empty once there is one.
    head: Vec<u8>,
    parts: Option<WriteMultipart>,
}

impl Upload {
    /// To `path`. `handle` runs the requests.
    pub(super) fn new(objects: Arc<dyn ObjectStore>, handle: Handle, path: Path) -> Self {
        Self { objects, handle, path, head: Vec::new(), parts: None }
    }

    /// Adds the next bytes.
    pub(super) fn push(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        if self.parts.is_none() {
            self.head.extend_from_slice(&bytes);
            if self.head.len() < MULTIPART_BYTES {
                return Ok(());
            }
            let upload = self.handle.block_on(self.objects.put_multipart(&self.path))?;
            let mut parts = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
            let _on_runtime = self.handle.enter();
            parts.put(std::mem::take(&mut self.head).into());
            self.parts = Some(parts);
        } else if let Some(parts) = &mut self.parts {
            let _on_runtime = self.handle.enter();
            parts.put(bytes.into());
        }
        match &mut self.parts {
            Some(parts) => Ok(self.handle.block_on(parts.wait_for_capacity(PARTS_AT_ONCE))?),
            None => Ok(()),
        }
    }

    /// Adds the last bytes and looks whether all of `entry` is there.
    pub(super) fn finish(mut self, entry: &BlockEntry, last: Bytes) -> Result<(), Error> {
        let Some(mut parts) = self.parts.take() else {
            let mut all = std::mem::take(&mut self.head);
            all.extend_from_slice(&last);
            return self.handle.block_on(put_block(&*self.objects, entry, all.into()));
        };
        self.handle.block_on(async {
            parts.put(last);
            parts.finish().await?;
            complete::check_put(&*self.objects, &self.path, entry.bytes).await
        })
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(parts) = self.parts.take() {
            // Nobody waits for it: what stays behind costs a little until the bucket's rule removes it.
            let path = self.path.clone();
            self.handle.spawn(async move {
                if let Err(error) = parts.abort().await {
                    tracing::debug!(%path, %error, "parts of an upload that was given up may stay behind");
                }
            });
        }
    }
}
