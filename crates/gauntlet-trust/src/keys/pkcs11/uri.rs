//! `pkcs11:` URIs (RFC 7512): which token, which key, which module.

use std::path::PathBuf;
use std::str::FromStr;

use cryptoki::slot::TokenInfo;

use crate::keys::KeyError;
use crate::shown;

/// No URI is longer.
const MAX_CHARS: usize = 4096;

/// Names one private key in one token. What is left out fits anything; what is named must fit exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pkcs11Uri {
    pub(super) token: Option<String>,
    pub(super) manufacturer: Option<String>,
    pub(super) model: Option<String>,
    pub(super) serial: Option<String>,
    pub(super) slot_id: Option<u64>,
    pub(super) object: Option<String>,
    pub(super) id: Option<Vec<u8>>,
    pub(super) module_path: Option<PathBuf>,
}

impl Pkcs11Uri {
    pub(super) fn fits_token(&self, slot: u64, info: &TokenInfo) -> bool {
        let fits = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|wanted| wanted == is);
        fits(&self.token, info.label())
            && fits(&self.manufacturer, info.manufacturer_id())
            && fits(&self.model, info.model())
            && fits(&self.serial, info.serial_number())
            && self.slot_id.is_none_or(|wanted| wanted == slot)
    }
}

impl FromStr for Pkcs11Uri {
    type Err = KeyError;

    /// Refuses what would be passed over silently: unknown attributes, one twice, and a PIN, which does not belong
    /// where other users of the machine can read it.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.len() > MAX_CHARS {
            return Err(bad(format!("more than {MAX_CHARS} characters")));
        }
        let rest = text.strip_prefix("pkcs11:").ok_or_else(|| bad("it does not begin with `pkcs11:`"))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = Self::default();
        for pair in path.split(';').filter(|pair| !pair.is_empty()) {
            let (name, value) = attribute(pair)?;
            match name {
                "token" => once(&mut uri.token, name, utf8(value)?)?,
                "manufacturer" => once(&mut uri.manufacturer, name, utf8(value)?)?,
                "model" => once(&mut uri.model, name, utf8(value)?)?,
                "serial" => once(&mut uri.serial, name, utf8(value)?)?,
                "object" => once(&mut uri.object, name, utf8(value)?)?,
                "id" => once(&mut uri.id, name, value)?,
                "slot-id" => {
                    let number = utf8(value)?.parse().map_err(|_| bad("`slot-id` is no number"))?;
                    once(&mut uri.slot_id, name, number)?;
                }
                "type" if value == b"private" => {}
                "type" => return Err(bad("only `type=private` can sign")),
                other => return Err(bad(format!("attribute {} is not known", shown(other)))),
            }
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = attribute(pair)?;
            match name {
                "module-path" => once(&mut uri.module_path, name, PathBuf::from(utf8(value)?))?,
                "pin-value" => {
                    return Err(bad(
                        "a PIN on the command line can be read by others: take `pin-value` out and use --pin-env, \
                         --pin-file or the prompt",
                    ));
                }
                "pin-source" => return Err(bad("use --pin-env or --pin-file in place of `pin-source`")),
                "module-name" => return Err(bad("name the module by its file: `module-path`")),
                other => return Err(bad(format!("attribute {} is not known", shown(other)))),
            }
        }
        Ok(uri)
    }
}

fn attribute(pair: &str) -> Result<(&str, Vec<u8>), KeyError> {
    let (name, value) = pair.split_once('=').ok_or_else(|| bad(format!("{} has no value", shown(pair))))?;
    Ok((name, percent_decoded(value)?))
}

/// RFC 3986, section 2.1; anything but a whole `%XX` after a percent sign is refused.
fn percent_decoded(text: &str) -> Result<Vec<u8>, KeyError> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
            return Err(bad("a `%` without two hex digits"));
        };
        out.push(high << 4 | low);
    }
    Ok(out)
}

fn utf8(bytes: Vec<u8>) -> Result<String, KeyError> {
    String::from_utf8(bytes).map_err(|_| bad("a value is not UTF-8"))
}

fn once<T>(place: &mut Option<T>, name: &str, value: T) -> Result<(), KeyError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(bad(format!("`{name}` is given twice"))),
    }
}

fn bad(what: impl Into<String>) -> KeyError {
    KeyError::Uri(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        let uri: Pkcs11Uri =
            "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;\
             object=my-certificate;type=private;id=%69%95%3E%5C%F4%BD%EC%91;serial=?module-path=/usr/lib/a%20b.so"
                .parse()
                .unwrap();
        assert_eq!(uri.token.as_deref(), Some("The Software PKCS#11 Softtoken"));
        assert_eq!(uri.manufacturer.as_deref(), Some("Snake Oil, Inc."));
        assert_eq!(uri.object.as_deref(), Some("my-certificate"));
        assert_eq!(uri.id.as_deref(), Some(b"\x69\x95\x3e\x5c\xf4\xbd\xec\x91".as_slice()));
        assert_eq!((uri.serial.as_deref(), uri.slot_id), (Some(""), None));
        assert_eq!(uri.module_path, Some(PathBuf::from("/usr/lib/a b.so")));
        assert_eq!("pkcs11:".parse::<Pkcs11Uri>().unwrap(), Pkcs11Uri::default());
        assert_eq!("pkcs11:slot-id=327".parse::<Pkcs11Uri>().unwrap().slot_id, Some(327));
    }

    #[test]
    fn a_pin_never_stands_in_a_uri() {
        let error = "pkcs11:token=t?pin-value=1234".parse::<Pkcs11Uri>().unwrap_err().to_string();
        assert!(error.contains("--pin-env") && !error.contains("1234"), "{error}");
        assert!("pkcs11:token=t?pin-source=file:/pin".parse::<Pkcs11Uri>().is_err());
    }

    #[test]
    fn what_would_be_passed_over_is_refused() {
        for odd in [
            "",
            "token=t",
            "PKCS11:token=t",
            "pkcs11:token",
            "pkcs11:token=a;token=b",
            "pkcs11:colour=red",
            "pkcs11:token=%2",
            "pkcs11:token=%zz",
            "pkcs11:token=%ff",
            "pkcs11:type=cert",
            "pkcs11:slot-id=x",
            "pkcs11:token=t?module-name=softhsm2",
            "pkcs11:token=t?module-path=a&module-path=b",
            "pkcs11:?x=y",
        ] {
            assert!(odd.parse::<Pkcs11Uri>().is_err(), "{odd}");
        }
        assert!(format!("pkcs11:token={}", "x".repeat(5000)).parse::<Pkcs11Uri>().is_err());
    }
}
