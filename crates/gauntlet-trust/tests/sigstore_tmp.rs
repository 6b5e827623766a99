#![allow(missing_docs)]
use gauntlet_trust::sigstore::*;
#[test]
fn conformance() {
    let base = std::path::Path::new("/tmp/sg/conf/test/assets/bundle-verify");
    let public = std::fs::read("/tmp/w/sigstore/testdata/sigstore/roots/public-good.json").unwrap();
    let mut bad = 0;
    let mut dirs: Vec<_> = std::fs::read_dir(base).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    dirs.sort();
    for dir in dirs {
        let name = dir.file_name().unwrap().to_string_lossy().into_owned();
        let text = |f: &str| std::fs::read_to_string(dir.join(f)).ok().map(|t| t.trim().to_owned());
        let identity = text("identity").unwrap_or("https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main".into());
        let issuer = text("issuer").unwrap_or("https://token.actions.githubusercontent.com".into());
        let artifact = std::fs::read(dir.join("artifact")).unwrap_or_else(|_| std::fs::read(base.join("a.txt")).unwrap());
        let root = std::fs::read(dir.join("trusted_root.json")).unwrap_or(public.clone());
        let run = || -> Result<String, String> {
            let root = TrustedRoot::parse(&root).map_err(|e| format!("ROOT {e}"))?;
            let bundle = Bundle::parse(&std::fs::read(dir.join("bundle.sigstore.json")).unwrap()).map_err(|e| format!("{} {}", e.reason.as_str(), e.message))?;
            let key = text("key.pub").map(|k| gauntlet_trust::keys::VerifyingKey::from_pem(&k).map_err(|e| e.to_string())).transpose()?;
            let digest = bundle.hash(artifact.as_slice(), key.as_ref()).unwrap();
            let who = match key { Some(k) => Who::Key(Box::new(k)), None => Who::Identity(Identity::exact(&identity, &issuer).unwrap()) };
            let v = verify(&bundle, &root, &who, Material::Artifact(&digest), "2026-11-21T00:00:00Z".parse().unwrap()).map_err(|e| e.to_string())?;
            Ok(format!("{:?} {:?}", v.time, v.warnings))
        };
        let got = run();
        let want = !name.ends_with("_fail");
        let mark = if got.is_ok() == want { "ok  " } else { bad += 1; "BAD " };
        println!("{mark} {name}: {got:?}");
    }
    println!("bad {bad}");
}
