//! Addresses: `s3://BUCKET/KEY`, `gs://BUCKET/KEY`, `az://CONTAINER/KEY`, `https://HOST/PATH`, `http://HOST/PATH`.

use std::str::FromStr;

use reqwest::Url;

use crate::shown;

/// Where something lies. A folder ends in `/`; without it, a bucket is asked which of the two it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// What is asked there.
    pub scheme: Scheme,
    /// Bucket, or scheme, host and port.
    pub place: String,
    /// Decoded parts of the path, without empty ones.
    pub path: Vec<String>,
    /// The address ends in `/`.
    pub folder: bool,
}

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// A bucket of S3 or of what speaks like it.
    S3,
    /// A bucket of Google Cloud Storage.
    Google,
    /// A container of Azure Blob Storage; the account is the environment's.
    Azure,
    /// A web server.
    Http,
}

/// How addresses begin.
const SCHEMES: [&str; 5] = ["s3://", "gs://", "az://", "https://", "http://"];

/// What is wrong with an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("address {address}: {what}")]
pub struct AddressError {
    address: String,
    what: &'static str,
}

impl Address {
    /// Whether `text` is meant as an address rather than as a path.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        SCHEMES.iter().any(|scheme| text.starts_with(scheme))
    }

    /// The base name of what lies there; the bucket or host for the whole of one.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.last().unwrap_or(&self.place)
    }

    /// As it is written.
    #[must_use]
    pub fn shown(&self) -> String {
        let place = match self.scheme {
            Scheme::S3 => format!("s3://{}", self.place),
            Scheme::Google => format!("gs://{}", self.place),
            Scheme::Azure => format!("az://{}", self.place),
            Scheme::Http => self.place.clone(),
        };
        let end = if self.folder && !self.path.is_empty() { "/" } else { "" };
        format!("{place}/{}{end}", self.path.join("/"))
    }

    /// The folder above, and the base name; `None` for a whole bucket or host.
    #[must_use]
    pub fn split(&self) -> Option<(Self, String)> {
        let (name, above) = self.path.split_last()?;
        Some((Self { path: above.to_vec(), folder: true, ..self.clone() }, name.clone()))
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = |what| AddressError { address: shown(text), what };
        // Resolved by the parser, such a part would fetch something else than the address shows.
        let steps = |part: &str| matches!(part.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
        if text.split(['/', '\\']).any(steps) {
            return Err(wrong("its path has a part that no object name has"));
        }
        let url = Url::parse(text).map_err(|_| wrong("not a URL"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("credentials do not belong into an address, which others on this machine can see"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("a query or fragment is not supported"));
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("it names no host or bucket"))?;
        let (scheme, place) = match url.scheme() {
            "s3" | "gs" | "az" if url.port().is_some() => {
                return Err(wrong("a bucket has no port; name the server in the environment (AWS_ENDPOINT_URL)"));
            }
            "s3" => (Scheme::S3, host.to_owned()),
            "gs" => (Scheme::Google, host.to_owned()),
            "az" => (Scheme::Azure, host.to_owned()),
            "http" | "https" => (Scheme::Http, url.origin().ascii_serialization()),
            _ => return Err(wrong("s3://, gs://, az://, https:// and http:// are read")),
        };
        let mut path = Vec::new();
        for part in url.path().split('/').filter(|part| !part.is_empty()) {
            let part = decode(part).ok_or_else(|| wrong("its path is not percent-encoded UTF-8"))?;
            // A part that hides a slash or steps upwards would name another object than it shows.
            if matches!(part.as_str(), "." | "..") || part.contains('/') || part.chars().any(|c| c.is_ascii_control()) {
                return Err(wrong("its path has a part that no object name has"));
            }
            path.push(part);
        }
        Ok(Self { scheme, place, path, folder: url.path().ends_with('/') || url.path().is_empty() })
    }
}

fn decode(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            bytes.push(byte);
            rest = after;
            continue;
        }
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok())?;
        // `from_str_radix` takes a sign.
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after.get(2..)?;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, Vec<String>, bool) {
        let address: Address = text.parse().unwrap();
        (address.place, address.path, address.folder)
    }

    #[test]
    fn folders_files_and_buckets_are_told_apart() {
        assert_eq!(parts("s3://bucket/a/b"), ("bucket".into(), vec!["a".into(), "b".into()], false));
        assert_eq!(parts("s3://bucket/a/"), ("bucket".into(), vec!["a".into()], true));
        assert_eq!(parts("s3://bucket"), ("bucket".into(), vec![], true));
        assert_eq!(parts("https://h:8443/m/x%20y"), ("https://h:8443".into(), vec!["m".into(), "x y".into()], false));
        let (above, name) = "https://h/m/f.bin".parse::<Address>().unwrap().split().unwrap();
        assert_eq!((above.path, above.folder, name), (vec!["m".to_owned()], true, "f.bin".to_owned()));
    }

    #[test]
    fn oddities_are_refused() {
        for text in [
            "s3://",
            "s3://b:80/x",
            "https://user:pw@h/x",
            "https://user@h/x",
            "https://h/x?token=1",
            "https://h/x#f",
            "https://h/a%2Fb",
            "https://h/%2e%2e%2fx",
            "https://h/a/../x",
            "https://h/%2E./x",
            "s3://b/a/./x",
            "https://h/a%00b",
            "https://h/%ff",
            "https://h/%4",
            "https://h/%+1",
            "ftp://h/x",
            "file:///etc/passwd",
            "abfs://b/x",
            "https://",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
