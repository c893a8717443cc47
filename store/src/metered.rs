//! Counts what goes to the object store: requests, their time and outcome, bytes both ways. Changes nothing.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::metrics::{Metrics, ObjectRequest, Operation};

/// An object store whose requests are counted.
pub(crate) struct Metered {
    inner: Arc<dyn ObjectStore>,
    metrics: Metrics,
}

impl Metered {
    /// Counts what goes to `inner`.
    pub(crate) fn over(inner: Arc<dyn ObjectStore>, metrics: Metrics) -> Arc<dyn ObjectStore> {
        for operation in ["get", "put", "list", "delete", "copy"] {
            drop(metrics.object_requests.get_or_create(&ObjectRequest { operation, outcome: "ok" }));
            drop(metrics.object_seconds.get_or_create(&Operation { operation }));
        }
        for operation in ["get", "put"] {
            drop(metrics.object_bytes.get_or_create(&Operation { operation }));
        }
        Arc::new(Self { inner, metrics })
    }

    async fn count<T>(&self, operation: &'static str, request: impl Future<Output = Result<T>>) -> Result<T> {
        let started = Instant::now();
        let result = request.await;
        self.metrics.object_seconds.get_or_create(&Operation { operation }).observe(started.elapsed().as_secs_f64());
        let outcome = match &result {
            Ok(_) => "ok",
            Err(Error::NotFound { .. }) => "not_found",
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => "refused",
            Err(_) => "failed",
        };
        self.metrics.object_requests.get_or_create(&ObjectRequest { operation, outcome }).inc();
        result
    }

    fn add_bytes(&self, operation: &'static str, bytes: u64) {
        self.metrics.object_bytes.get_or_create(&Operation { operation }).inc_by(bytes);
    }
}

impl fmt::Debug for Metered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl fmt::Display for Metered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.inner)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Metered {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let bytes = payload.content_length() as u64;
        let result = self.count("put", self.inner.put_opts(location, payload, options)).await;
        if result.is_ok() {
            self.add_bytes("put", bytes);
        }
        result
    }

    /// Counted as one request when it begins, with the bytes of its parts.
    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.count("put", self.inner.put_multipart_opts(location, options)).await?;
        Ok(Box::new(MeteredUpload { upload, metrics: self.metrics.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let is_head = options.head;
        let result = self.count("get", self.inner.get_opts(location, options)).await?;
        if !is_head {
            self.add_bytes("get", result.range.end - result.range.start);
        }
        Ok(result)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let parts = self.count("get", self.inner.get_ranges(location, ranges)).await?;
        self.add_bytes("get", parts.iter().map(|part| part.len() as u64).sum());
        Ok(parts)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        use futures::StreamExt;
        let metrics = self.metrics.clone();
        let deleted = self.inner.delete_stream(locations).inspect(move |result| {
            let outcome = match result {
                Ok(_) => "ok",
                Err(Error::NotFound { .. }) => "not_found",
                Err(_) => "failed",
            };
            metrics.object_requests.get_or_create(&ObjectRequest { operation: "delete", outcome }).inc();
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.metrics.object_requests.get_or_create(&ObjectRequest { operation: "list", outcome: "ok" }).inc();
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.count("list", self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.count("copy", self.inner.copy_opts(from, to, options)).await
    }
}

/// An upload in parts whose bytes are counted.
#[derive(Debug)]
struct MeteredUpload {
    upload: Box<dyn MultipartUpload>,
    metrics: Metrics,
}

#[async_trait::async_trait]
impl MultipartUpload for MeteredUpload {
    fn put_part(&mut self, part: PutPayload) -> object_store::UploadPart {
        let bytes = part.content_length() as u64;
        self.metrics.object_bytes.get_or_create(&Operation { operation: "put" }).inc_by(bytes);
        self.upload.put_part(part)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.upload.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn requests_and_bytes_are_counted_both_ways() {
        let metrics = Metrics::default();
        let objects = Metered::over(Arc::new(InMemory::new()), metrics.clone());
        let path = Path::from("a");
        objects.put(&path, PutPayload::from_static(b"12345")).await.expect("put");
        assert_eq!(objects.get_range(&path, 1..4).await.expect("there"), "234");
        assert_eq!(objects.head(&path).await.expect("there").size, 5);
        assert_eq!(objects.get_ranges(&path, &[0..1, 4..5]).await.expect("there").len(), 2);
        assert!(objects.get(&Path::from("b")).await.is_err());
        objects.delete(&path).await.expect("deleted");

        let requests =
            |operation, outcome| metrics.object_requests.get_or_create(&ObjectRequest { operation, outcome }).get();
        assert_eq!((requests("put", "ok"), requests("delete", "ok")), (1, 1));
        assert_eq!((requests("get", "ok"), requests("get", "not_found"), requests("get", "failed")), (3, 1, 0));
        let bytes = |operation| metrics.object_bytes.get_or_create(&Operation { operation }).get();
        assert_eq!((bytes("put"), bytes("get")), (5, 5));
    }
}
