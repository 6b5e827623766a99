//! A web server of our own, good and bad.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gauntlet_core::Verdict;
use gauntlet_trust::oms::{ReasonCode, Serialization, VerifyOptions, verify_source};
use gauntlet_trust::source::{Address, Remote, RemoteOptions, SourceError};

use super::{Model, codes, model, shards};

/// What the server does when a file is asked for.
#[derive(Clone)]
enum Answer {
    Send(Vec<u8>),
    /// Announces so many bytes and closes after these.
    Announce(usize, Vec<u8>),
    /// Sends headers, half of the bytes, and then nothing.
    Hang(Vec<u8>),
    /// Sends a byte now and then.
    Drip(usize),
    Redirect(String),
    Status(u16),
    /// Sends no length, and ends by closing.
    NoLength(Vec<u8>),
}

struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(files: HashMap<String, Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (files, log) = (Arc::new(files), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (files, log) = (Arc::clone(&files), Arc::clone(&log));
                std::thread::spawn(move || serve(stream, &files, &log));
            }
        });
        Self { address, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn open(&self, path: &str) -> Remote {
        let options = RemoteOptions { timeout: Duration::from_millis(1500) };
        Remote::open(&self.url(path).parse::<Address>().unwrap(), &options).unwrap()
    }
}

fn serve(mut stream: TcpStream, files: &HashMap<String, Answer>, log: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(Ok(first)) = lines.next() else { return };
    let mut range = None;
    for line in lines.map_while(Result::ok) {
        if line.is_empty() {
            break;
        }
        let line = line.to_ascii_lowercase();
        if let Some(bytes) = line.strip_prefix("range: bytes=") {
            let (from, to) = bytes.split_once('-').unwrap();
            range = Some((from.parse::<usize>().unwrap(), to.parse::<usize>().unwrap() + 1));
        }
    }
    log.lock().unwrap().push(first.clone());
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let head = method == "HEAD";
    let mut send = |head_text: String, body: &[u8]| {
        let _ = stream.write_all(head_text.as_bytes());
        if !head {
            let _ = stream.write_all(body);
        }
        let _ = stream.flush();
    };
    let ok = |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    match files.get(path) {
        None => send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(), b""),
        Some(Answer::Send(bytes)) => match range {
            Some((from, to)) => {
                let total = bytes.len();
                let text = format!(
                    "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{total}\r\nConnection: close\r\n\r\n",
                    to - from,
                    to - 1
                );
                send(text, &bytes[from..to]);
            }
            None => send(ok(bytes.len()), bytes),
        },
        Some(Answer::Announce(length, bytes)) => send(ok(*length), bytes),
        Some(Answer::Hang(bytes)) => {
            send(ok(bytes.len()), &bytes[..bytes.len() / 2]);
            if !head {
                std::thread::sleep(Duration::from_secs(20));
            }
        }
        Some(Answer::Drip(length)) => {
            send(ok(*length), b"");
            for _ in 0..100 {
                if head || stream.write_all(b"x").is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        }
        Some(Answer::Redirect(to)) => {
            send(
                format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
                b"",
            );
        }
        Some(Answer::Status(code)) => {
            send(format!("HTTP/1.1 {code} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), b"");
        }
        Some(Answer::NoLength(bytes)) => send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned(), bytes),
    }
}

/// The model at `/m/`, with one file answered otherwise.
fn answers(model: &Model, name: &str, answer: Option<Answer>) -> HashMap<String, Answer> {
    let path = |name: &str| format!("/m/{}", name.replace(' ', "%20"));
    let mut files: HashMap<String, Answer> =
        model.files.iter().map(|(name, bytes)| (path(name), Answer::Send(bytes.clone()))).collect();
    files.insert("/m/model.sig".to_owned(), Answer::Send(model.bundle.clone()));
    if let Some(answer) = answer {
        files.insert(path(name), answer);
    }
    files
}

fn judge(model: &Model, server: &Server) -> (Verdict, Vec<ReasonCode>, String) {
    let source = server.open("/m/");
    let found = verify_source(&source, Some("model.sig"), &model.bundle, &model.trust, &VerifyOptions::default());
    (found.verdict, codes(&found), found.reasons.iter().map(|reason| reason.message.as_str()).collect())
}

#[test]
fn a_folder_on_a_web_server_is_verified_file_by_file_and_shard_by_shard() {
    for serialization in [Serialization::Files, shards()] {
        let model = model(serialization);
        let server = Server::start(answers(&model, "", None));
        let (verdict, _, message) = judge(&model, &server);
        assert_eq!(verdict, Verdict::Pass, "{message}");
        let signature = server.open("/m/").small_file("model.sig", 1 << 20).unwrap().unwrap();
        assert_eq!(signature, model.bundle);
        assert!(server.open("/m/").small_file("model.sig", 10).is_err(), "a large signature is not read");
        assert!(server.open("/m/").small_file("none", 10).unwrap().is_none());
    }
}

#[test]
fn bad_servers_never_pass() {
    let model = model(Serialization::Files);
    let name = "weights.safetensors";
    let bytes = model.files.iter().find(|(n, _)| n == name).unwrap().1.clone();
    let mut changed = bytes.clone();
    changed[2_000_000] ^= 0x40;
    let size = bytes.len();
    let other = Server::start(HashMap::from([("/x".to_owned(), Answer::Send(bytes.clone()))]));
    let cases = [
        (Answer::Send(changed), ReasonCode::DigestMismatch, "signed is"),
        (Answer::Send(bytes[..100].to_vec()), ReasonCode::DigestMismatch, "signed is"),
        (Answer::Announce(size, bytes[..1_000_000].to_vec()), ReasonCode::Unreadable, ""),
        (Answer::Announce(size + 10, bytes.clone()), ReasonCode::Unreadable, ""),
        (Answer::Announce(size - 10, bytes.clone()), ReasonCode::DigestMismatch, "signed is"),
        (Answer::Hang(bytes.clone()), ReasonCode::Unreadable, "no answer"),
        (Answer::Drip(size), ReasonCode::Unreadable, ""),
        (Answer::Redirect(other.url("/x")), ReasonCode::Unreadable, "another server"),
        (Answer::Redirect("/m/weights.safetensors".to_owned()), ReasonCode::Unreadable, ""),
        (Answer::Status(404), ReasonCode::MissingFile, "not there"),
        (Answer::Status(403), ReasonCode::Unreadable, ""),
        (Answer::Status(500), ReasonCode::Unreadable, ""),
        (Answer::NoLength(bytes.clone()), ReasonCode::Unreadable, ""),
    ];
    for (i, (answer, code, text)) in cases.into_iter().enumerate() {
        // The server that drips needs longer than the others: as long as its slowest allowed rate.
        if matches!(answer, Answer::Drip(_)) {
            continue;
        }
        let server = Server::start(answers(&model, name, Some(answer)));
        let started = Instant::now();
        let (verdict, found, message) = judge(&model, &server);
        assert_ne!(verdict, Verdict::Pass, "case {i}");
        assert_eq!(found, [code], "case {i}: {message}");
        assert!(message.contains(text), "case {i}: {message}");
        assert!(started.elapsed() < Duration::from_secs(60), "case {i} hangs");
    }
    assert!(other.asked.lock().unwrap().is_empty(), "the other server was asked");
}

#[test]
fn a_server_that_drips_is_given_up() {
    let model = model(Serialization::Files);
    let server = Server::start(answers(&model, "config.json", Some(Answer::Drip(20))));
    let started = Instant::now();
    let (verdict, found, message) = judge(&model, &server);
    assert_ne!(verdict, Verdict::Pass);
    assert_eq!(found, [ReasonCode::Unreadable], "{message}");
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn redirects_within_the_server_are_followed() {
    let model = model(Serialization::Files);
    let mut files = answers(&model, "config.json", Some(Answer::Redirect("/elsewhere".to_owned())));
    let bytes = model.files.iter().find(|(name, _)| name == "config.json").unwrap().1.clone();
    files.insert("/elsewhere".to_owned(), Answer::Send(bytes));
    let (verdict, _, message) = judge(&model, &Server::start(files));
    assert_eq!(verdict, Verdict::Pass, "{message}");
}

#[test]
fn nobody_there_is_no_answer() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let model = model(Serialization::Files);
    let options = RemoteOptions { timeout: Duration::from_millis(500) };
    let source = Remote::open(&format!("http://{closed}/m/").parse::<Address>().unwrap(), &options).unwrap();
    let found = verify_source(&source, None, &model.bundle, &model.trust, &VerifyOptions::default());
    assert_eq!(found.verdict, Verdict::Error, "{:?}", found.reasons);
    use gauntlet_trust::source::Source as _;
    assert!(matches!(source.size("x"), Err(SourceError::Failed(_) | SourceError::Silent(_))));
}
