use std::process::Command;

use crate::harness::{Server, tool};
use crate::reports::send_operations;

/// Requests per path: with a fixed seed, so that a failure is one that comes back.
const EXAMPLES: &str = "40";

/// Every path of the document with data that fits and data that does not: no answer is a failure of the server, each has a status,
/// a media type and a body that the document knows.
#[tokio::test(flavor = "multi_thread")]
async fn answers_are_as_the_document_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    send_operations(&server).await;
    let document = format!("{}/api/v1/openapi.json", server.http);
    let mut schemathesis = Command::new(tool("SPANHOLD_TEST_SCHEMATHESIS"));
    schemathesis.current_dir(folder.path()).args(["run", &document, "--seed", "1", "--max-examples", EXAMPLES]).args([
        "--checks",
        "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
         response_schema_conformance,unsupported_method",
        "--phases",
        "examples,coverage,fuzzing",
        "--continue-on-failure",
        "--no-color",
    ]);
    let output = tokio::task::spawn_blocking(move || schemathesis.output()).await.expect("no panic").expect("runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("operations"), "{said}");
}
