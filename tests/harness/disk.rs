//! A small file system that can be filled.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A tmpfs; gone when dropped.
pub(crate) struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// With room for `bytes`; says why not where mounting is not permitted.
    pub(crate) fn mount(bytes: u64) -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(folder.path())
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() { Ok(Self { folder }) } else { Err(String::from_utf8_lossy(&output.stderr).into()) }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Fills the disk until `left` bytes are free, as somebody else would.
    pub(crate) fn fill(&self, left: u64) -> Ballast {
        let path = self.path().join("ballast");
        let output = Command::new("df").args(["--output=avail", "-B1"]).arg(self.path()).output().expect("df runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let free: u64 = text.lines().nth(1).expect("a line").trim().parse().expect("a number");
        let length = free.saturating_sub(left).to_string();
        // The last bytes may not be there.
        let _ = Command::new("fallocate").args(["-l", &length]).arg(&path).status().expect("fallocate runs");
        Ballast { path }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

/// What fills a disk.
pub(crate) struct Ballast {
    path: PathBuf,
}

impl Ballast {
    /// Gives the space back.
    pub(crate) fn remove(self) {
        std::fs::remove_file(self.path).expect("it is there");
    }
}
