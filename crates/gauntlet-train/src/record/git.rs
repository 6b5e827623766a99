//! The state of version control, asked of the `git` program with everything switched off that would run something else.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use gauntlet_core::Digest;
use serde::{Deserialize, Serialize};

const PATIENCE: Duration = Duration::from_secs(30);
const MAX_OUTPUT: u64 = 256 << 20;

/// What version control says about a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum GitState {
    /// All files are as the commit has them.
    Clean {
        /// Full id of the commit.
        commit: String,
        /// Where it is from, without credentials.
        remote: Option<String>,
    },
    /// There are changes; they are named by digest.
    Changed {
        /// Full id of the commit.
        commit: String,
        /// Where it is from, without credentials.
        remote: Option<String>,
        /// SHA-256 of `git diff --binary HEAD` over the folder.
        diff: Digest,
        /// Files that version control does not know, at most 1,000.
        untracked: Vec<String>,
    },
    /// Nothing is known, and why.
    Unknown {
        /// Why.
        reason: String,
    },
}

/// Asks about a folder.
#[must_use]
pub fn git_state(folder: &Path) -> GitState {
    match ask(folder) {
        Ok(state) => state,
        Err(reason) => GitState::Unknown { reason },
    }
}

fn ask(folder: &Path) -> Result<GitState, String> {
    let commit = text(git(folder, &["rev-parse", "--verify", "HEAD^{commit}"])?)?;
    if !matches!(commit.len(), 40 | 64) || !commit.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("git gave no commit id".to_owned());
    }
    let remote = git(folder, &["config", "--local", "--get", "remote.origin.url"]).ok();
    let remote = remote.and_then(|url| text(url).ok()).map(|url| without_credentials(&url));
    let status = git(folder, &["status", "--porcelain=v1", "-z", "--untracked-files=all", "--", "."])?;
    if status.is_empty() {
        return Ok(GitState::Clean { commit, remote });
    }
    let untracked = status
        .split(|b| *b == 0)
        .filter_map(|entry| entry.strip_prefix(b"?? "))
        .map(|path| String::from_utf8_lossy(path).into_owned())
        .take(1_000)
        .collect();
    let diff = git(folder, &["diff", "--binary", "--no-ext-diff", "--no-textconv", "--no-color", "HEAD", "--", "."])?;
    Ok(GitState::Changed { commit, remote, diff: Digest::sha256(&diff), untracked })
}

fn git(folder: &Path, arguments: &[&str]) -> Result<Vec<u8>, String> {
    let mut child = Command::new("git")
        .arg("-C")
        .arg(folder)
        // A repository's own configuration could name programs; these would be started by looking at it.
        .args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.pager=cat"])
        .args(["-c", "diff.external=", "-c", "core.untrackedCache=false", "-c", "protocol.allow=never"])
        .args(arguments)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs([("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_OPTIONAL_LOCKS", "0")])
        .envs([("GIT_TERMINAL_PROMPT", "0"), ("LC_ALL", "C"), ("HOME", "/nonexistent")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start git: {error}"))?;
    let (sender, receiver) = mpsc::channel();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.map(|out| out.take(MAX_OUTPUT + 1).read_to_end(&mut bytes));
        let mut said = String::new();
        if let Some(error) = stderr {
            let _ = error.take(4_096).read_to_string(&mut said);
        }
        let _ = sender.send((read.is_some_and(|r| r.is_ok()), bytes, said));
    });
    let answer = receiver.recv_timeout(PATIENCE);
    if answer.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    let (read, bytes, said) = answer.map_err(|_| "git did not answer within 30 s".to_owned())?;
    if !status.success() {
        let first = said.lines().next().unwrap_or("").to_owned();
        return Err(format!("git {}: {first}", arguments.first().unwrap_or(&"")));
    }
    if !read || bytes.len() as u64 > MAX_OUTPUT {
        return Err(format!("git {} answered with more than {MAX_OUTPUT} bytes", arguments.first().unwrap_or(&"")));
    }
    Ok(bytes)
}

fn text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map(|text| text.trim().to_owned()).map_err(|_| "git answered in no UTF-8".to_owned())
}

/// Tokens in a remote's address would end in the record.
fn without_credentials(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_left_out() {
        assert_eq!(without_credentials("https://me:tok@host/a@b.git"), "https://host/a@b.git");
        assert_eq!(without_credentials("git@host:a/b.git"), "git@host:a/b.git");
    }

    #[test]
    fn a_folder_without_version_control_is_unknown() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(git_state(dir.path()), GitState::Unknown { .. }));
    }

    #[test]
    fn changes_are_named_by_digest() {
        let dir = tempfile::tempdir().unwrap();
        let run = |arguments: &[&str]| {
            let output = Command::new("git").arg("-C").arg(dir.path()).args(arguments).output();
            output.is_ok_and(|o| o.status.success())
        };
        if !run(&["init", "-q"]) {
            // Without git there is nothing to ask; `a_folder_without_version_control_is_unknown` holds then.
            return;
        }
        std::fs::write(dir.path().join("a.py"), "x = 1\n").unwrap();
        assert!(run(&["add", "."]));
        assert!(run(&["-c", "user.name=a", "-c", "user.email=a@x", "commit", "-qm", "one"]));
        assert!(matches!(git_state(dir.path()), GitState::Clean { .. }));
        std::fs::write(dir.path().join("a.py"), "x = 2\n").unwrap();
        std::fs::write(dir.path().join("new.py"), "").unwrap();
        let GitState::Changed { diff, untracked, .. } = git_state(dir.path()) else { panic!("not changed") };
        assert_eq!(untracked, ["new.py"]);
        std::fs::write(dir.path().join("a.py"), "x = 3\n").unwrap();
        assert!(matches!(git_state(dir.path()), GitState::Changed { diff: other, .. } if other != diff));
    }
}
