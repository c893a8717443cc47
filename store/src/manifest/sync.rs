//! Makes files of a cold tier in a local folder survive a power cut, before the hot tier may forget their spans.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path as FilePath;

use object_store::path::Path;

use crate::Error;

/// Syncs objects of the store in `root`, and every folder on the way to them.
pub(crate) fn files<'a>(root: &FilePath, objects: impl Iterator<Item = &'a Path>) -> Result<(), Error> {
    let mut folders = BTreeSet::new();
    for object in objects {
        let file = root.join(object.as_ref());
        sync(&file)?;
        folders.extend(file.ancestors().skip(1).take_while(|folder| folder.starts_with(root)).map(FilePath::to_owned));
    }
    folders.iter().try_for_each(|folder| sync(folder))
}

fn sync(path: &FilePath) -> Result<(), Error> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| Error::io(format!("syncing {}", path.display()), &error))
}
