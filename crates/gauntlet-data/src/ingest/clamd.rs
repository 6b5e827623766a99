//! ClamAV's daemon, by its own protocol (`INSTREAM`): the file is sent in pieces, the daemon answers with a name or OK.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long the daemon may stay silent. It loads signatures for a while after it starts.
const TIMEOUT: Duration = Duration::from_secs(120);
const PIECE: usize = 64 << 10;
/// Longest answer.
const ANSWER: u64 = 4 << 10;

/// The daemon that is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scanner {
    /// Path of a socket, or `HOST:PORT`.
    pub(crate) clamd: String,
    /// Whether data that was not scanned may not pass.
    #[serde(default)]
    pub(crate) required: bool,
    /// What the daemon said of itself when the run began: new signatures are a new question.
    #[serde(default)]
    pub(crate) version: Option<String>,
}

/// What the daemon says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// No signature matched.
    Clean,
    /// Name of the signature.
    Infected(String),
    /// It did not look at all of it.
    Refused(String),
}

impl Scanner {
    /// Version of the daemon and of its signatures.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub(crate) fn version(&self) -> io::Result<String> {
        let mut stream = self.connect()?;
        stream.write_all(b"zVERSION\0")?;
        answer(&mut stream)
    }

    /// Sends a file. An error of the connection before the end is looked at for what the daemon said first: it hangs up
    /// when a file is too large for it.
    ///
    /// # Errors
    /// When the daemon cannot be reached or asked, or the file cannot be read.
    pub(crate) fn scan(&self, input: &mut dyn Read) -> io::Result<Answer> {
        let mut stream = self.connect()?;
        stream.write_all(b"zINSTREAM\0")?;
        let mut buffer = vec![0; PIECE];
        let sent = loop {
            let n = input.read(&mut buffer)?;
            let length = u32::try_from(n).map_err(|_| io::ErrorKind::InvalidInput)?;
            let piece = buffer.get(..n).unwrap_or_default();
            let sent = stream.write_all(&length.to_be_bytes()).and_then(|()| stream.write_all(piece));
            if n == 0 || sent.is_err() {
                break sent;
            }
        };
        let answer = match (answer(&mut stream), sent) {
            (Ok(answer), _) if !answer.is_empty() => answer,
            (Err(error), _) | (Ok(_), Err(error)) => return Err(error),
            (Ok(_), Ok(())) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the scanner gave no answer")),
        };
        let text = answer.strip_prefix("stream:").unwrap_or(&answer).trim();
        Ok(match text.strip_suffix(" FOUND") {
            Some(signature) => Answer::Infected(signature.to_owned()),
            None if text == "OK" => Answer::Clean,
            None => Answer::Refused(text.to_owned()),
        })
    }

    fn connect(&self) -> io::Result<Box<dyn ReadWrite>> {
        if self.clamd.contains('/') {
            let stream = UnixStream::connect(&self.clamd)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            return Ok(Box::new(stream));
        }
        let stream = TcpStream::connect(&self.clamd)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Box::new(stream))
    }
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

fn answer(stream: &mut dyn ReadWrite) -> io::Result<String> {
    let mut bytes = Vec::new();
    // The daemon closes behind its answer; a reset after a refusal takes nothing from what was read.
    let read = stream.take(ANSWER).read_to_end(&mut bytes);
    if bytes.is_empty() {
        read?;
    }
    let text = bytes.split(|b| *b == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).take(200).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// A daemon that speaks the protocol's words and knows one signature.
    fn daemon(dir: &std::path::Path, reply: &'static str) -> Scanner {
        let path = dir.join("clamd.sock");
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut command = [0; 10];
                stream.read_exact(&mut command).unwrap();
                assert_eq!(&command, b"zINSTREAM\0");
                let mut content = Vec::new();
                loop {
                    let mut length = [0; 4];
                    stream.read_exact(&mut length).unwrap();
                    let length = u32::from_be_bytes(length) as usize;
                    if length == 0 {
                        break;
                    }
                    let mut piece = vec![0; length];
                    stream.read_exact(&mut piece).unwrap();
                    content.extend(piece);
                }
                let reply = if content.ends_with(b"bad") { reply } else { "stream: OK\0" };
                stream.write_all(reply.as_bytes()).unwrap();
            }
        });
        Scanner { clamd: path.to_str().unwrap().to_owned(), required: true, version: None }
    }

    #[test]
    fn files_are_sent_in_pieces_and_answers_read() {
        let dir = tempfile::tempdir().unwrap();
        let scanner = daemon(dir.path(), "stream: Test.Signature FOUND\0");
        let good = vec![b'x'; 200_000];
        assert_eq!(scanner.scan(&mut good.as_slice()).unwrap(), Answer::Clean);
        let bad = [good, b"bad".to_vec()].concat();
        assert_eq!(scanner.scan(&mut bad.as_slice()).unwrap(), Answer::Infected("Test.Signature".to_owned()));
    }

    #[test]
    fn a_refusal_is_no_ok_and_silence_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let scanner = daemon(dir.path(), "INSTREAM size limit exceeded. ERROR\0");
        let refused = scanner.scan(&mut &b"bad"[..]).unwrap();
        assert_eq!(refused, Answer::Refused("INSTREAM size limit exceeded. ERROR".to_owned()));
        let nobody = Scanner { clamd: dir.path().join("none").to_str().unwrap().to_owned(), ..scanner };
        assert!(nobody.scan(&mut &b"x"[..]).is_err());
        assert!(nobody.version().is_err());
    }
}
