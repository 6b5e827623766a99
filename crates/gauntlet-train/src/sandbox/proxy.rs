//! The only way out of a confined run with declared hosts: an HTTP proxy that knows their names.
//!
//! Inside, a relay listens on the loopback device and hands bytes to a Unix socket; outside, the proxy opens connections to
//! declared hosts alone and notes each. What does not speak to a proxy has no network.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::PROXY_SOCKET;

/// Port of the relay on the loopback device inside.
pub(crate) const PORT: u16 = 3_128;
const MAX_HEAD: u64 = 32 << 10;
const MAX_CONNECTIONS: usize = 64;
const MAX_NOTED: usize = 10_000;
const PATIENCE: Duration = Duration::from_secs(20);

/// One attempt to reach a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Connection {
    /// Host and port as they were asked for.
    pub host: String,
    /// Whether it was declared.
    pub allowed: bool,
    /// Bytes that went out.
    pub sent: u64,
    /// Bytes that came in.
    pub received: u64,
}

/// Inside: listens on the loopback device, in threads of this process.
pub(super) fn relay() -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", PORT))?;
    UnixStream::connect(PROXY_SOCKET)?;
    std::thread::spawn(move || {
        for client in listener.incoming().filter_map(Result::ok) {
            std::thread::spawn(move || {
                if let Ok(proxy) = UnixStream::connect(PROXY_SOCKET) {
                    let _ = splice(&client, &proxy);
                }
            });
        }
    });
    Ok(())
}

/// Both directions until both are closed; gives the bytes of each.
fn splice<A: Duplex, B: Duplex>(a: &A, b: &B) -> io::Result<(u64, u64)> {
    let (mut a_in, mut b_out) = (a.copy()?, b.copy()?);
    let forth = std::thread::spawn(move || {
        let bytes = io::copy(&mut a_in, &mut b_out).unwrap_or(0);
        b_out.end();
        bytes
    });
    let (mut b_in, mut a_out) = (b.copy()?, a.copy()?);
    let back = io::copy(&mut b_in, &mut a_out).unwrap_or(0);
    a_out.end();
    Ok((forth.join().unwrap_or(0), back))
}

trait Duplex: Read + Write + Send + Sized + 'static {
    fn copy(&self) -> io::Result<Self>;
    fn end(&self);
}

impl Duplex for TcpStream {
    fn copy(&self) -> io::Result<Self> {
        self.try_clone()
    }

    fn end(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Duplex for UnixStream {
    fn copy(&self) -> io::Result<Self> {
        self.try_clone()
    }

    fn end(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

/// Outside: the proxy of one run.
pub(crate) struct Proxy {
    noted: Arc<Mutex<Vec<Connection>>>,
}

impl Proxy {
    /// Listens on a socket. `hosts` are `name` (ports 80 and 443) or `name:port`.
    pub(crate) fn listen(socket: &Path, hosts: &[String]) -> io::Result<Self> {
        let listener = UnixListener::bind(socket)?;
        let noted = Arc::new(Mutex::new(Vec::new()));
        let (shared, hosts) = (Arc::clone(&noted), Arc::new(hosts.to_vec()));
        let open = Arc::new(AtomicUsize::new(0));
        // Ends with the program; the socket's file is gone with the run, so nobody new comes.
        std::thread::spawn(move || {
            for client in listener.incoming().filter_map(Result::ok) {
                if open.load(Ordering::SeqCst) >= MAX_CONNECTIONS {
                    continue;
                }
                open.fetch_add(1, Ordering::SeqCst);
                let (noted, hosts, open) = (Arc::clone(&shared), Arc::clone(&hosts), Arc::clone(&open));
                std::thread::spawn(move || {
                    if let Ok(Some(connection)) = serve(client, &hosts) {
                        note(&noted, connection);
                    }
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Ok(Self { noted })
    }

    /// What was asked for so far.
    pub(crate) fn connections(&self) -> Vec<Connection> {
        let mut all = match self.noted.lock() {
            Ok(guard) => guard.clone(),
            Err(poisoned) => poisoned.into_inner().clone(),
        };
        all.sort();
        all
    }
}

fn note(noted: &Mutex<Vec<Connection>>, connection: Connection) {
    let mut list = match noted.lock() {
        Ok(guard) => guard,
        Err(poisoned) => poisoned.into_inner(),
    };
    if list.len() < MAX_NOTED {
        list.push(connection);
    }
}

/// What a request's head asks for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    host: String,
    port: u16,
    /// What to send to the host first: nothing for a tunnel, else the request in origin form.
    first: Option<Vec<u8>>,
}

fn serve(mut client: UnixStream, hosts: &[String]) -> io::Result<Option<Connection>> {
    client.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let before = head.len();
        reader.by_ref().take(MAX_HEAD - head.len() as u64).read_until(b'\n', &mut head)?;
        if head.len() == before {
            return Ok(None);
        }
    }
    let Some(asked) = parse(&head) else {
        client.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")?;
        return Ok(None);
    };
    let name = format!("{}:{}", asked.host, asked.port);
    let mut connection = Connection { host: name.clone(), allowed: declared(hosts, &asked), sent: 0, received: 0 };
    if !connection.allowed {
        let body = format!("{name} is not among the declared hosts of this training run\n");
        write!(client, "HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
        return Ok(Some(connection));
    }
    let addresses: Vec<_> = (asked.host.as_str(), asked.port).to_socket_addrs().into_iter().flatten().collect();
    let Some(mut server) = addresses.iter().find_map(|a| TcpStream::connect_timeout(a, PATIENCE).ok()) else {
        client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")?;
        return Ok(Some(connection));
    };
    client.set_read_timeout(None)?;
    match &asked.first {
        None => client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?,
        Some(request) => server.write_all(request)?,
    }
    // What came behind the head already.
    let early = reader.buffer().to_vec();
    server.write_all(&early)?;
    let (sent, received) = splice(&client, &server)?;
    let first = asked.first.map_or(0, |f| f.len()) + early.len();
    (connection.sent, connection.received) = (sent + first as u64, received);
    Ok(Some(connection))
}

fn parse(head: &[u8]) -> Option<Asked> {
    let text = std::str::from_utf8(head).ok()?;
    let (line, rest) = text.split_once("\r\n")?;
    let mut words = line.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || !version.starts_with("HTTP/1.") {
        return None;
    }
    if method == "CONNECT" {
        let (host, port) = target.rsplit_once(':')?;
        return Some(Asked { host: host_name(host)?, port: port.parse().ok()?, first: None });
    }
    let target = target.strip_prefix("http://")?;
    let (authority, path) = target.split_at(target.find('/').unwrap_or(target.len()));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (authority, 80),
    };
    let path = if path.is_empty() { "/" } else { path };
    let first = format!("{method} {path} {version}\r\n{rest}").into_bytes();
    Some(Asked { host: host_name(host)?, port, first: Some(first) })
}

fn host_name(text: &str) -> Option<String> {
    let good = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    good.then(|| text.trim_end_matches('.').to_ascii_lowercase())
}

fn declared(hosts: &[String], asked: &Asked) -> bool {
    hosts.iter().any(|host| match host.rsplit_once(':') {
        Some((name, port)) => name.eq_ignore_ascii_case(&asked.host) && port.parse() == Ok(asked.port),
        None => host.eq_ignore_ascii_case(&asked.host) && matches!(asked.port, 80 | 443),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_taken_apart() {
        let tunnel = parse(b"CONNECT Example.org:443 HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!((tunnel.host.as_str(), tunnel.port, tunnel.first), ("example.org", 443, None));
        let plain = parse(b"GET http://example.org/a?b HTTP/1.1\r\nHost: example.org\r\n\r\n").unwrap();
        assert_eq!(plain.first.unwrap(), b"GET /a?b HTTP/1.1\r\nHost: example.org\r\n\r\n");
        for odd in [
            "GET /a HTTP/1.1\r\n\r\n",
            "CONNECT a b c\r\n\r\n",
            "CONNECT [::1]:80 HTTP/1.1\r\n\r\n",
            "x",
            "GET http://u@h/ HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(parse(odd.as_bytes()), None, "{odd}");
        }
    }

    #[test]
    fn only_declared_hosts_and_ports_are_reached() {
        let hosts = ["data.example.org".to_owned(), "localhost:8080".to_owned()];
        let asked = |host: &str, port| Asked { host: host.to_owned(), port, first: None };
        assert!(declared(&hosts, &asked("data.example.org", 443)));
        assert!(declared(&hosts, &asked("localhost", 8080)));
        for (host, port) in [
            ("data.example.org", 22),
            ("evil-data.example.org", 443),
            ("files.data.example.org", 443),
            ("localhost", 80),
        ] {
            assert!(!declared(&hosts, &asked(host, port)), "{host}:{port}");
        }
    }

    #[test]
    fn the_proxy_connects_declared_hosts_and_notes_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut client, _) = server.accept().unwrap();
            let mut head = [0; 18];
            client.read_exact(&mut head).unwrap();
            assert_eq!(&head, b"GET / HTTP/1.1\r\n\r\n");
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\nhello").unwrap();
        });
        let socket = folder.path().join("s");
        let proxy = Proxy::listen(&socket, &[format!("localhost:{port}")]).unwrap();
        let ask = |target: &str| {
            let mut stream = UnixStream::connect(&socket).unwrap();
            stream.write_all(format!("GET http://{target}/ HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        assert!(ask(&format!("localhost:{port}")).ends_with("hello"));
        assert!(ask("example.org").starts_with("HTTP/1.1 403"));
        for _ in 0..100 {
            if proxy.connections().len() == 2 {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let noted = proxy.connections();
        assert_eq!(noted.iter().map(|c| c.allowed).collect::<Vec<_>>(), [false, true]);
    }
}
