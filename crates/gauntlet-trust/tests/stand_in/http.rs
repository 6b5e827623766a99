//! As much of HTTP/1.1 as one request a connection needs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};

pub(crate) struct Answer {
    status: u16,
    location: Option<String>,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn ok(status: u16, body: Value) -> Self {
        Self { status, location: None, body: body.to_string().into_bytes() }
    }

    pub(crate) fn refused(status: u16, message: &str) -> Self {
        Self::ok(status, json!({ "code": status, "message": message }))
    }

    pub(crate) fn redirect(place: &str) -> Self {
        Self { status: 307, location: Some(place.to_owned()), body: Vec::new() }
    }
}

/// Answers a method, a path, a bearer token and a body.
type Answering<'a> = &'a dyn Fn(&str, &str, Option<&str>, &[u8]) -> Answer;

pub(crate) fn serve(listener: &TcpListener, answer: Answering<'_>) {
    for stream in listener.incoming().flatten() {
        let _ = one(stream, answer);
    }
}

fn one(mut stream: TcpStream, answer: Answering<'_>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let (mut length, mut bearer) = (0, None);
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "authorization" => bearer = value.trim().strip_prefix("Bearer ").map(str::to_owned),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let answer = answer(&method, &path, bearer.as_deref(), &body);
    let location = answer.location.map(|place| format!("Location: {place}\r\n")).unwrap_or_default();
    write!(
        stream,
        "HTTP/1.1 {} Status\r\nContent-Type: application/json\r\n{location}Content-Length: {}\r\nConnection: close\r\n\r\n",
        answer.status,
        answer.body.len()
    )?;
    stream.write_all(&answer.body)
}
