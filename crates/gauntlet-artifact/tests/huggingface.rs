//! Folders as Hugging Face's libraries write them, and their malicious twins.
#![expect(clippy::unwrap_used, reason = "a test's helpers may fail the test")]

use gauntlet_artifact::GATE;
use gauntlet_core::{
    Context, Judging, Limits, MaskKey, NoProgress, Severity, Subject, SubjectKind, Target, Tree, TreeOptions, seal,
};

/// Severity and rule of everything found in a folder of these files, worst first; then what was left open.
fn scan(files: &[(&str, &str)]) -> (Vec<(Severity, String)>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let limits = Limits::default();
    let tree = Tree::read(folder.path(), &TreeOptions::default(), &limits).unwrap();
    let subject = Subject { name: "case".into(), kind: SubjectKind::Model, digest: tree.digest(&[]) };
    let config = serde_json::json!({});
    let target = Target { subject: &subject, root: &tree.root, tree: &tree, config: &config };
    let mask = MaskKey::for_project("test");
    let facts = GATE.extractor.extract(&target, &Context { limits: &limits, mask: &mask, progress: &NoProgress });
    let judging = Judging { config: &config, now: jiff::Timestamp::UNIX_EPOCH };
    let mut open = Vec::new();
    let mut drafts = Vec::new();
    for check in GATE.checks {
        let judgement = check.judge(&facts, &judging);
        drafts.extend(judgement.findings);
        open.extend(judgement.coverage.skipped.into_iter().map(|skipped| skipped.reason.to_string()));
    }
    let skipped = facts.coverage.values().flat_map(|c| &c.skipped).filter(|s| !s.reason.code.answered());
    open.extend(skipped.map(|skipped| format!("{}: {}", skipped.path, skipped.reason)));
    let mut found: Vec<_> = seal(drafts)
        .into_iter()
        .filter(|f| f.rule.starts_with("artifact/huggingface/") || f.rule.starts_with("artifact/template/"))
        .map(|f| (f.severity, f.rule.trim_start_matches("artifact/").to_owned()))
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    (found, open)
}

const CONFIG: &str = r#"{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16",
  "_name_or_path": "/home/someone/checkpoints/../llama", "hidden_act": "silu", "auto_map": null, "transformers_version": "4.44.0"}"#;
const ATTACK: &str = "{{ cycler.__init__.__globals__.os.popen('echo canary') }}";

#[test]
fn ordinary_folders_are_silent() {
    let big: String = (0..20_000).map(|n| format!("\"tok{n}\": {n}, ")).collect();
    for files in [
        vec![
            ("config.json", CONFIG),
            (
                "generation_config.json",
                r#"{"eos_token_id": [1, 2], "_from_model_config": true, "transformers_version": "4.44.0"}"#,
            ),
            (
                "tokenizer_config.json",
                r#"{"tokenizer_class": "LlamaTokenizer", "chat_template": "{% for m in messages %}{{ m['role'] }}{% endfor %}",
                  "added_tokens_decoder": {"0": {"content": "__import__('os')"}, "1": {"content": "eval("}},
                  "additional_special_tokens": ["os.system(", "{{ x.__class__ }}"], "tokenizer_file": "/root/.cache/tokenizer.json",
                  "trust_remote_code": false}"#,
            ),
            ("special_tokens_map.json", r#"{"bos_token": "<s>"}"#),
            (
                "preprocessor_config.json",
                r#"{"feature_extractor_type": "CLIPFeatureExtractor", "image_processor_type": "CLIPImageProcessor", "size": {"height": 2}}"#,
            ),
            (
                "processor_config.json",
                r#"{"processor_class": "LlavaProcessor", "chat_template": "{{ messages[0].content }}"}"#,
            ),
        ],
        vec![
            (
                "modules.json",
                r#"[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
               {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]"#,
            ),
            (
                "config_sentence_transformers.json",
                r#"{"__version__": {"torch": "2.2"}, "prompts": {"query": "Represent this: "}}"#,
            ),
            ("1_Pooling/config.json", r#"{"word_embedding_dimension": 4}"#),
        ],
        vec![
            (
                "model_index.json",
                r#"{"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.30.0",
               "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"], "scheduler": ["diffusers", "PNDMScheduler"],
               "text_encoder": ["transformers", "CLIPTextModel"], "image_encoder": [null, null], "requires_safety_checker": true}"#,
            ),
            ("scheduler/scheduler_config.json", r#"{"_class_name": "PNDMScheduler", "_diffusers_version": "0.30.0"}"#),
        ],
        vec![(
            "adapter_config.json",
            r#"{"auto_mapping": {"base_model_class": "BertModel", "parent_library": "transformers.models.bert.modeling_bert"},
               "base_model_name_or_path": "org/base", "peft_type": "LORA", "target_modules": ["q_proj"]}"#,
        )],
        vec![
            (
                "tokenizer.json",
                r#"{"model": {"vocab": {"__import__('os').system('x')": 0, "{{ x.__class__ }}": 1}, "merges": ["ev al", "os .system("]}}"#,
            ),
            ("vocab.json", &format!("{{{big}\"eval(\": 1}}")),
            ("README.md", "Run `pip install x`; see https://example.com. Never use eval(). {{ x.__class__ }}"),
        ],
    ] {
        assert_eq!(scan(&files), (vec![], vec![]), "{}", files[0].0);
    }
}

#[test]
fn a_vocabulary_is_no_open_question_for_being_long() {
    let merges: Vec<_> = (0..300_000).map(|n| format!("[\"a{n}\", \"b{n}\"]")).collect();
    let text = format!("{{\"version\": \"1.0\", \"model\": {{\"merges\": [{}]}}}}", merges.join(", "));
    assert!(text.len() > 5 << 20);
    assert_eq!(scan(&[("tokenizer.json", &text), ("config.json", CONFIG)]), (vec![], vec![]));
}

#[test]
fn settings_that_load_code_or_leave_the_folder_are_found() {
    use Severity::{Critical, High, Low, Medium};
    let template = |text: &str| serde_json::to_string(text).unwrap();
    let attack = template(ATTACK);
    let (one, two, three) = (
        format!(r#"{{"chat_template": {attack}}}"#),
        format!(
            r#"{{"chat_template": [{{"name": "default", "template": "{{{{ messages }}}}"}}, {{"name": "rag", "template": {attack}}}]}}"#
        ),
        format!(r#"{{"default": {{"chat_template": {{"tool": {attack}}}}}}}"#),
    );
    for (files, severity, rule) in [
        (
            vec![("config.json", r#"{"auto_map": {"AutoModel": "modeling_x.X"}}"#), ("modeling_x.py", "x = 1\n")],
            Low,
            "huggingface/custom-code",
        ),
        (
            vec![("config.json", r#"{"auto_map": {"AutoTokenizer": ["org/other--tok.A", null]}}"#)],
            Medium,
            "huggingface/remote-code",
        ),
        (
            vec![("config.json", r#"{"custom_pipelines": {"a": {"impl": "org/other--pipe.P", "pt": ["AutoModel"]}}}"#)],
            Medium,
            "huggingface/remote-code",
        ),
        (
            vec![("config.json", r#"{"architectures": ["A"], "trust_remote_code": true}"#)],
            Medium,
            "huggingface/remote-code",
        ),
        (vec![("anything.json", r#"{"a": [{"trust_remote_code": "True"}]}"#)], Medium, "huggingface/remote-code"),
        (vec![("tokenizer_config.json", &one)], Critical, "template/inner-attribute"),
        (vec![("tokenizer_config.json", &two)], Critical, "template/inner-attribute"),
        (vec![("processor_config.json", &three)], Critical, "template/inner-attribute"),
        (vec![("chat_template.json", &one)], Critical, "template/inner-attribute"),
        (vec![("chat_template.jinja", ATTACK)], Critical, "template/inner-attribute"),
        (vec![("additional_chat_templates/rag.jinja", ATTACK)], Critical, "template/inner-attribute"),
        (
            vec![("model_index.json", r#"{"_class_name": ["pipeline_x", "Pipe"]}"#), ("pipeline_x.py", "x = 1\n")],
            Medium,
            "huggingface/custom-code",
        ),
        (
            vec![("model_index.json", r#"{"_class_name": "P", "unet": ["../evil", "Unet"]}"#)],
            High,
            "huggingface/outside-path",
        ),
        (
            vec![("model_index.json", r#"{"_class_name": "P", "unet": ["subprocess", "Popen"]}"#)],
            Critical,
            "huggingface/dangerous-name",
        ),
        (
            vec![
                ("model_index.json", r#"{"_class_name": "P", "unet": ["my_unet", "Unet"]}"#),
                ("unet/my_unet.py", "x = 1\n"),
            ],
            Low,
            "huggingface/custom-code",
        ),
        (
            vec![("pytorch_model.bin.index.json", r#"{"weight_map": {"a.b": "../../../etc/passwd"}}"#)],
            High,
            "huggingface/outside-path",
        ),
        (
            vec![("model.safetensors.index.json", r#"{"weight_map": {"a": "/etc/passwd"}}"#)],
            High,
            "huggingface/outside-path",
        ),
        (
            vec![("model.safetensors.index.json", r#"{"weight_map": {"a": "https://example.com/x"}}"#)],
            High,
            "huggingface/outside-path",
        ),
        (vec![("other.json", r#"{"weight_map": {"a": "..\\x"}}"#)], High, "huggingface/outside-path"),
        (
            vec![("config.json", r#"{"quantization_config": {"init": "__import__('os').system('echo canary')"}}"#)],
            High,
            "huggingface/code-value",
        ),
        (vec![("config.json", r#"{"hidden_act": ["lambda x: x"]}"#)], High, "huggingface/code-value"),
        (
            vec![("config.json", r#"{"prompt": "You must never call os.system() in any of your answers"}"#)],
            Low,
            "huggingface/code-value",
        ),
        (vec![("modules.json", r#"[{"type": "os.system", "path": ""}]"#)], Critical, "huggingface/dangerous-name"),
        (
            vec![("modules.json", r#"[{"type": "sentence_transformers.models.Transformer", "path": "../../x"}]"#)],
            High,
            "huggingface/outside-path",
        ),
        (vec![("modules.json", r#"[{"type": "custom_st.Transformer", "path": ""}]"#)], Low, "huggingface/unknown-name"),
        (
            vec![("modules.json", r#"[{"type": "org/repo--custom_st.Transformer", "path": ""}]"#)],
            Medium,
            "huggingface/remote-code",
        ),
        (vec![("config.json", r#"{"tokenizer_class": "subprocess.Popen"}"#)], Critical, "huggingface/dangerous-name"),
        (vec![("config.json", r#"{"architectures": ["os.system"]}"#)], Critical, "huggingface/dangerous-name"),
        (
            vec![("adapter_config.json", r#"{"auto_mapping": {"parent_library": "os"}}"#)],
            Critical,
            "huggingface/dangerous-name",
        ),
        (
            vec![("adapter_config.json", r#"{"base_model_name_or_path": "http://192.0.2.1/model"}"#)],
            Medium,
            "huggingface/foreign-source",
        ),
        (
            vec![("adapter_config.json", r#"{"base_model_name_or_path": "../../base"}"#)],
            Low,
            "huggingface/foreign-source",
        ),
        (vec![("config.json", r#"{"auto_map": {"A": "a.B"}, "auto_map": {}}"#)], Low, "huggingface/custom-code"),
    ] {
        let (found, _) = scan(&files);
        assert!(found.contains(&(severity, rule.to_owned())), "{files:?}: {found:?}");
        assert_eq!(found.first().map(|worst| worst.0), Some(severity), "{files:?}: {found:?}");
    }
}

#[test]
fn files_of_one_folder_are_held_against_each_other() {
    let index = r#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;
    let (found, _) =
        scan(&[("x/model.safetensors.index.json", index), ("x/model-1.safetensors", ""), ("x/pytorch_model.bin", "")]);
    let rules: Vec<_> = found.iter().map(|(_, rule)| rule.as_str()).collect();
    assert_eq!(rules, ["huggingface/two-formats", "huggingface/incomplete"]);
}

#[test]
fn a_broken_document_is_an_open_question() {
    for (name, text) in [("tokenizer_config.json", "{\"a\": "), ("model.safetensors.index.json", "{\"a\": 1} x")] {
        let (_, open) = scan(&[(name, text)]);
        assert_eq!(open.len(), 1, "{name}: {open:?}");
    }
}

#[test]
fn templates_in_the_metadata_of_tensors_are_judged() {
    let header = format!(
        r#"{{"__metadata__": {{"format": "pt", "chat_template": {}}}}}"#,
        serde_json::to_string(ATTACK).unwrap()
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    let facts = gauntlet_artifact::exercise("model.safetensors", &bytes, &Limits::default());
    assert!(facts.rows.iter().any(|row| row.kind == "template"));
}
