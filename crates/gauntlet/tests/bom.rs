//! Bills of materials and cards, end to end.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::{Value, json};
use support::{Sandbox, repository, rules};

const AT: [&str; 2] = ["--at", "2026-01-02"];

fn bom(sandbox: &Sandbox, args: &[&str]) -> Value {
    let output = sandbox.gauntlet(["bom"].iter().chain(args).chain(&AT)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn property<'a>(of: &'a Value, name: &str) -> Option<&'a str> {
    of["properties"].as_array()?.iter().find(|p| p["name"] == name)?["value"].as_str()
}

#[test]
fn a_project_model_has_its_datasets_scans_and_headers() {
    let sandbox = Sandbox::example("churn");
    let document = bom(&sandbox, &["models/churn.onnx", "--requirements", "requirements.txt"]);
    let model = &document["metadata"]["component"];
    assert_eq!((model["group"].as_str(), model["name"].as_str()), (Some("churn"), Some("churn")));
    let bytes = std::fs::read(sandbox.project().join("models/churn.onnx")).unwrap();
    assert_eq!(model["hashes"][0]["content"], gauntlet_core::sha256_hex(&bytes));
    let parameters = &model["modelCard"]["modelParameters"];
    assert_eq!(parameters["datasets"], json!([{"ref": "dataset:churn/train"}]));
    assert!(parameters["inputs"][0]["format"].as_str().unwrap().contains("float"));
    assert_eq!(property(&model["modelCard"], "gauntlet:confidence:modelParameters.inputs"), Some("derived"));
    assert_eq!(property(model, "gauntlet:scan:artifact/onnx"), Some("pass"));
    assert_eq!(property(model, "gauntlet:confidence:digest"), Some("verified"));
    let data = document["components"].as_array().unwrap().iter().find(|c| c["type"] == "data").unwrap();
    assert_eq!(property(data, "gauntlet:consent-basis").map(str::is_empty), Some(false));
    assert_eq!(property(data, "gauntlet:confidence:consent-basis"), Some("declared"));
    assert!(document["components"].as_array().unwrap().iter().any(|c| c["type"] == "library"));
    assert_eq!(document, bom(&sandbox, &["models/churn.onnx", "--requirements", "requirements.txt"]), "reproducible");
}

#[test]
fn training_provenance_in_the_ledger_becomes_a_workflow_with_packages() {
    let sandbox = Sandbox::example("churn");
    let provenance = json!({
        "buildDefinition": {
            "buildType": "https://builds.example/training/v1",
            "externalParameters": {"seed": 7},
            "resolvedDependencies": [{"uri": "pkg:pypi/numpy@2.1.0", "digest": {"sha256": "11".repeat(32)}}],
        },
        "runDetails": {"builder": {"id": "https://builds.example/runner"}, "metadata": {"invocationId": "run-17"}},
    });
    sandbox.write("provenance.json", provenance.to_string());
    let kind = "https://slsa.dev/provenance/v1";
    let attest = ["attest", "models/churn.onnx", "--predicate", "provenance.json", "--type", kind];
    sandbox.gauntlet(attest).assert().success();
    let document = bom(&sandbox, &["models/churn.onnx"]);
    let workflow = &document["formulation"][0]["workflows"][0];
    assert_eq!(workflow["uid"], "run-17");
    assert_eq!(property(workflow, "gauntlet:confidence:workflow"), Some("verified"), "signed with our own key");
    let numpy = document["components"].as_array().unwrap().iter().find(|c| c["name"] == "numpy").unwrap();
    assert_eq!(numpy["purl"], "pkg:pypi/numpy@2.1.0");
    // Another user trusts nobody's key.
    let elsewhere = sandbox.project().join("other-config");
    let output =
        sandbox.gauntlet(["bom", "models/churn.onnx"]).env("GAUNTLET_CONFIG_DIR", &elsewhere).output().unwrap();
    assert_ne!(
        output.status.code(),
        Some(0),
        "a ledger whose key is unknown is not read: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_signed_document_is_an_entry_about_the_model() {
    let sandbox = Sandbox::example("churn");
    let args = ["bom", "models/churn.onnx", "--sign", "-o", "churn.cdx.json", "--at", "2026-01-02"];
    sandbox.gauntlet(args).assert().success().stderr(contains("entry 0 of the ledger"));
    let shown = sandbox.gauntlet(["ledger", "show", "0"]).output().unwrap();
    assert!(String::from_utf8_lossy(&shown.stdout).contains("https://cyclonedx.org/bom"));
    sandbox.gauntlet(["ledger", "verify"]).assert().success();
    let bare = Sandbox::new();
    bare.write("model.bin", b"weights");
    bare.gauntlet(["bom", "model.bin", "--sign"]).assert().code(2).stderr(contains("--project"));
    bare.gauntlet(["bom", "nothing.onnx"]).assert().code(2);
    bare.gauntlet(["bom", "model.bin", "--spec", "1.4"]).assert().code(2).stderr(contains("1.5, 1.6 and 1.7"));
    bare.gauntlet(["bom", "model.bin", "--format", "spdx", "--spec", "1.6"]).assert().code(2);
}

#[test]
fn signatures_are_verified_or_only_named() {
    let sandbox = Sandbox::example("churn");
    sandbox.gauntlet(["key", "generate", "release"]).assert().success();
    let key = |name: &str| sandbox.config().join("keys").join(name).display().to_string();
    sandbox.gauntlet(["sign", "models/churn.onnx", "--key", &key("release.pem")]).assert().success();
    let (public, signature) = (key("release.pub.pem"), "gauntlet:signature:churn.onnx.sig");
    let verified = bom(&sandbox, &["models/churn.onnx", "--verify-key", &public]);
    assert_eq!(property(&verified["metadata"]["component"], signature), Some("verified"));
    let path = sandbox.project().join("models/churn.onnx.sig");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("payloadType", "payloadtype")).unwrap();
    let broken = bom(&sandbox, &["models/churn.onnx", "--verify-key", &public]);
    assert_eq!(property(&broken["metadata"]["component"], signature), Some("not verified"));
}

#[test]
fn folders_and_foreign_models_have_documents_too() {
    let sandbox = Sandbox::new();
    let bert = repository().join("testdata/real/hf/bert").display().to_string();
    let document = bom(&sandbox, &[&bert]);
    let model = &document["metadata"]["component"];
    assert_eq!(model["modelCard"]["modelParameters"]["architectureFamily"], "bert");
    assert_eq!(model["modelCard"]["modelParameters"]["modelArchitecture"], "BertForSequenceClassification");
    assert!(property(model, "gauntlet:digest:dirHash1").is_some());
    // By this digest the document meets the folder's OpenSSF signature.
    sandbox.gauntlet(["key", "generate", "release"]).assert().success();
    let key = sandbox.config().join("keys/release.pem").display().to_string();
    sandbox.gauntlet(["sign", &bert, "--key", &key, "--signature", "bert.sig"]).assert().success();
    let bundle: Value = serde_json::from_slice(&std::fs::read(sandbox.project().join("bert.sig")).unwrap()).unwrap();
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
    let statement: Value = serde_json::from_slice(&BASE64_STANDARD.decode(payload).unwrap()).unwrap();
    let hashes = model["hashes"].as_array().unwrap();
    let root = hashes.iter().find(|hash| hash["alg"] == "SHA-256").unwrap();
    assert_eq!(root["content"], statement["subject"][0]["digest"]["sha256"]);
    assert!(model["components"].as_array().unwrap().iter().any(|c| c["name"] == "model.safetensors"));
    let spdx = bom(&sandbox, &[&bert, "--format", "spdx"]);
    let graph = spdx["@graph"].as_array().unwrap();
    assert!(graph.iter().any(|e| e["type"] == "ai_AIPackage" && e["ai_typeOfModel"][0] == "bert"));
}

const CARD: &str = "---\nlicense: cc0-1.0\npipeline_tag: tabular-classification\ngauntlet:\n  risk_class: high\n  risk_score:\n    \
    value: 3.5\n    formula: likelihood-times-impact\n    version: '1'\n    evidence: ['sha256:EVIDENCE']\n  contact: model@example.com\n---\n\
    # churn\n\n## Intended use\n\nCalling customers.\n\n## Prohibited use\n\nDeciding alone.\n\n## Known vulnerabilities\n\nNone found by \
    the tests named below.\n\n## Mitigations\n\nA person decides.\n\n## Risk score\n\n3.5 of 25.\n\n## Evaluation by slice\n\nYounger: 0.86.\n";

#[test]
fn a_card_is_judged_under_the_projects_risk_class() {
    let sandbox = Sandbox::example("churn");
    let config = std::fs::read_to_string(sandbox.project().join("gauntlet.yaml")).unwrap();
    sandbox.write(
        "gauntlet.yaml",
        config.replace("    path: models/churn.onnx\n", "    path: models/churn.onnx\n    card: MODEL_CARD.md\n"),
    );
    let card = CARD.replace("EVIDENCE", &"ab".repeat(32));
    sandbox.write("MODEL_CARD.md", &card);
    let (exit, result) = sandbox.json(&["run", "."]);
    assert_eq!(exit, 0, "{result}");
    let report = result["reports"].as_array().unwrap().iter().find(|r| r["check"] == "artifact/card").unwrap().clone();
    assert_eq!((report["verdict"].as_str(), report["subject"]["name"].as_str()), (Some("pass"), Some("churn/churn")));
    assert!(report["metrics"].as_array().unwrap().iter().any(|m| m["name"] == "risk-score"));
    let production = |result: &Value| {
        let decisions = result["decisions"].as_array().unwrap();
        let production = decisions.iter().find(|d| d["environment"] == "production").unwrap();
        let reasons = production["reasons"].as_array().unwrap().iter();
        reasons.map(|r| r["rule"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(!production(&result).contains(&"policy/high-risk/card-missing".to_owned()));

    // The twin without its limits of use is refused everywhere.
    sandbox.write("MODEL_CARD.md", card.replace("## Prohibited use", "## Other"));
    let (exit, refused) = sandbox.json(&["run", "."]);
    assert_eq!(exit, 1);
    assert!(rules(&refused).contains(&"artifact/card/section-missing".to_owned()));
    assert!(production(&refused).contains(&"policy/high-risk/card-missing".to_owned()));

    // A claim that nothing measured keeps a model out of production.
    let claim = "model-index:\n- name: churn\n  results:\n  - task: {type: other}\n    metrics:\n    - {type: accuracy, value: 0.99}\n";
    sandbox.write("MODEL_CARD.md", card.replacen("gauntlet:\n", &format!("{claim}gauntlet:\n"), 1));
    let (exit, claimed) = sandbox.json(&["run", "."]);
    assert_eq!(exit, 0);
    assert!(production(&claimed).contains(&"policy/high-risk/claim-unmeasured".to_owned()));
}

#[test]
fn a_generated_card_keeps_what_people_wrote_and_passes_once_they_did() {
    let sandbox = Sandbox::example("churn");
    let config = std::fs::read_to_string(sandbox.project().join("gauntlet.yaml")).unwrap();
    sandbox.write("MODEL_CARD.md", CARD.replace("EVIDENCE", &"ab".repeat(32)));
    sandbox.write(
        "gauntlet.yaml",
        config.replace("    path: models/churn.onnx\n", "    path: models/churn.onnx\n    card: MODEL_CARD.md\n"),
    );
    let write = || sandbox.gauntlet(["card", "models/churn.onnx", "--write", "--at", "2026-01-02"]).assert().success();
    write().stdout(contains("wrote"));
    let first = std::fs::read_to_string(sandbox.project().join("MODEL_CARD.md")).unwrap();
    assert!(
        first.contains("Deciding alone.")
            && first.contains("gauntlet:generated identity")
            && first.contains("churn/train")
    );
    write().stdout(contains("up to date"));
    let (exit, result) = sandbox.json(&["run", "."]);
    assert_eq!(exit, 0, "{result}");

    // The model changes, the card does not.
    let model = sandbox.project().join("models/churn.onnx");
    let mut bytes = std::fs::read(&model).unwrap();
    bytes.extend_from_slice(b"\x92\x01\x00");
    std::fs::write(&model, bytes).unwrap();
    let (_, stale) = sandbox.json(&["run", "."]);
    assert!(rules(&stale).contains(&"artifact/card/other-model".to_owned()), "{:?}", rules(&stale));

    sandbox.write("MODEL_CARD.md", first.replace("| churn.onnx |", "| other.onnx |"));
    let (_, edited) = sandbox.json(&["run", "."]);
    assert!(rules(&edited).contains(&"artifact/card/edited-region".to_owned()));
    let again = ["card", "models/churn.onnx", "--write"];
    sandbox.gauntlet(again).assert().code(2).stderr(contains("edited by hand"));
    sandbox.gauntlet(again.iter().chain(&["--force"])).assert().success();
}

#[test]
fn the_readme_of_a_model_folder_is_its_card() {
    let sandbox = Sandbox::new();
    sandbox.write("model/config.json", r#"{"model_type": "bert"}"#);
    let scan = |readme: &str| {
        sandbox.write("model/README.md", readme);
        rules(&sandbox.json(&["scan", "model"]).1)
    };
    assert_eq!(scan("---\nlicense: mit\nlicense: apache-2.0\n---\n# M\n"), ["artifact/card/broken-front-matter"]);
    assert_eq!(scan("---\nlicense: mit\n---\n# M\n"), [""; 0]);
    assert_eq!(scan("# Only a text\n"), [""; 0]);
    let folder = bom(&sandbox, &["model"]);
    assert!(folder["metadata"]["component"].get("licenses").is_none());
    sandbox.write("model/README.md", "---\nlicense: mit\nbase_model: org/base\n---\n# M\n");
    let model = bom(&sandbox, &["model"])["metadata"]["component"].clone();
    assert_eq!(model["licenses"][0]["license"]["id"], "MIT");
    assert_eq!(model["pedigree"]["ancestors"][0]["purl"], "pkg:huggingface/org/base");
    sandbox.gauntlet(["card", "model", "--write"]).assert().success().stderr(contains("changes the model's digest"));
}

#[test]
fn a_new_card_asks_people_for_what_only_they_know() {
    let sandbox = Sandbox::new();
    sandbox.write("model.bin", b"weights");
    let card = sandbox.gauntlet(["card", "model.bin"]).assert().success();
    card.stdout(contains("## Intended use\n\n[More Information Needed]").and(contains("model.bin")));
    assert!(!sandbox.project().join("model.md").exists(), "printed, not written");
}
