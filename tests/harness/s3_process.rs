//! S3 servers of others, each in a process of its own that can be killed and started again.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{eventually, tool};

/// The bucket that each server begins with, and who may use it.
pub(crate) const BUCKET: &str = "traces";
pub(crate) const KEY: &str = "test-key";
pub(crate) const SECRET: &str = "test-secret";

/// A running server; killed when dropped.
pub(crate) struct S3Process {
    child: Child,
    program: String,
    arguments: Vec<String>,
    address: String,
    pub(crate) endpoint: String,
    folder: tempfile::TempDir,
}

impl S3Process {
    /// `arguments` get the port and a folder.
    async fn start(program: &str, arguments: impl FnOnce(u16, &Path) -> Vec<String>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // Neither server tells which port it got, so one is picked for it.
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port();
        let arguments = arguments(port, folder.path());
        let address = format!("127.0.0.1:{port}");
        let server = Self {
            child: spawn(program, &arguments),
            program: program.to_owned(),
            arguments,
            endpoint: format!("http://{address}"),
            address,
            folder,
        };
        server.answers().await;
        server
    }

    /// In Python, with everything in memory.
    pub(crate) async fn moto() -> Self {
        let port_of = |port: u16, _: &Path| ["-H", "127.0.0.1", "-p", &port.to_string()].map(str::to_owned).to_vec();
        let server = Self::start(&tool("SPANHOLD_TEST_MOTO_SERVER"), port_of).await;
        let put = reqwest::Client::new().put(format!("{}/{BUCKET}", server.endpoint)).send().await.expect("answers");
        assert!(put.status().is_success(), "{put:?}");
        server
    }

    /// In Go, over a folder.
    pub(crate) async fn versitygw() -> Self {
        Self::start(&tool("SPANHOLD_TEST_VERSITYGW"), |port, folder| {
            std::fs::create_dir(folder.join(BUCKET)).expect("a bucket");
            let place = folder.display().to_string();
            ["--port", &format!("127.0.0.1:{port}"), "posix", &place].map(str::to_owned).to_vec()
        })
        .await
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Starts again on the same port and folder.
    pub(crate) async fn start_again(&mut self) {
        self.child = spawn(&self.program, &self.arguments);
        self.answers().await;
    }

    /// Where a server over a folder keeps its bucket.
    pub(crate) fn folder(&self) -> std::path::PathBuf {
        self.folder.path().join(BUCKET)
    }

    /// What tells the program to use this server.
    pub(crate) fn variables(&self) -> [(&str, &str); 4] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_REGION", "us-east-1"),
        ]
    }

    async fn answers(&self) {
        eventually("the S3 server", async || tokio::net::TcpStream::connect(&self.address).await.is_ok()).await;
    }
}

fn spawn(program: &str, arguments: &[String]) -> Child {
    Command::new(program)
        .args(arguments)
        .env("ROOT_ACCESS_KEY", KEY)
        .env("ROOT_SECRET_KEY", SECRET)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the S3 server starts")
}

impl Drop for S3Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
