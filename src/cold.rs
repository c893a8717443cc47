//! From the URL of the cold tier to an object store.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, ObjectStore, RetryConfig};

/// The store tries again by itself, and says so in its metrics; these cover a dropped connection.
const RETRIES_MAX: usize = 2;

/// A block is a few MB: whoever takes longer is not working.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a URL is no cold tier.
#[derive(Debug, thiserror::Error)]
pub enum ColdError {
    /// Not one of the supported forms.
    #[error("cold tier {0:?}: give file:///folder or s3://bucket/prefix")]
    Url(String),
    /// The folder cannot be made.
    #[error("cold tier folder {folder}: {source}")]
    Folder {
        /// The folder.
        folder: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The object store's client refused its settings.
    #[error(
        "cold tier {url}: {source}; S3 is set up by AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL"
    )]
    Client {
        /// The URL.
        url: String,
        /// What went wrong.
        source: object_store::Error,
    },
}

/// A cold tier, opened.
pub struct Cold {
    /// Where objects go.
    pub objects: Arc<dyn ObjectStore>,
    /// The folder behind it, for `file://`.
    pub local_root: Option<PathBuf>,
}

/// Opens the cold tier at `url`, and makes its folder if it is one. For S3 the usual AWS variables give endpoint, region and credentials.
///
/// # Errors
/// When the URL or the variables are not usable. Does not try to reach the object store.
pub fn open(url: &str) -> Result<Cold, ColdError> {
    if let Some(folder) = url.strip_prefix("file://").filter(|folder| Path::new(folder).is_absolute()) {
        std::fs::create_dir_all(folder).map_err(|source| ColdError::Folder { folder: folder.to_owned(), source })?;
    }
    open_existing(url)
}

/// Opens the cold tier at `url`; a folder must be there.
///
/// # Errors
/// As [`open`].
pub fn open_existing(url: &str) -> Result<Cold, ColdError> {
    if let Some(folder) = url.strip_prefix("file://") {
        return open_folder(url, PathBuf::from(folder));
    }
    let Some(place) = url.strip_prefix("s3://") else { return Err(ColdError::Url(url.to_owned())) };
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    if bucket.is_empty() {
        return Err(ColdError::Url(url.to_owned()));
    }
    let endpoint =
        ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"].iter().find_map(|name| std::env::var(name).ok());
    let plain_http = endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    let retry = RetryConfig { max_retries: RETRIES_MAX, retry_timeout: REQUEST_TIMEOUT, ..RetryConfig::default() };
    let client = ClientOptions::new().with_timeout(REQUEST_TIMEOUT).with_allow_http(plain_http);
    let mut builder =
        AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry).with_client_options(client);
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    let store = builder.build().map_err(|source| ColdError::Client { url: url.to_owned(), source })?;
    let prefix = prefix.trim_matches('/');
    let objects: Arc<dyn ObjectStore> =
        if prefix.is_empty() { Arc::new(store) } else { Arc::new(PrefixStore::new(store, prefix)) };
    Ok(Cold { objects, local_root: None })
}

fn open_folder(url: &str, folder: PathBuf) -> Result<Cold, ColdError> {
    if !folder.is_absolute() {
        return Err(ColdError::Url(url.to_owned()));
    }
    let store = LocalFileSystem::new_with_prefix(&folder)
        .map_err(|source| ColdError::Client { url: url.to_owned(), source })?;
    Ok(Cold { objects: Arc::new(store), local_root: Some(folder) })
}
