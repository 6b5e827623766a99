//! ECDSA on P-521 with the nonce of RFC 6979, which the `p521` crate does not derive itself.

use p521::ecdsa::Signature;
use p521::ecdsa::signature::hazmat::RandomizedPrehashSigner as _;
use rand_core::{CryptoRng, RngCore};
use sha2::{Digest as _, Sha512};
use zeroize::Zeroizing;

use super::KeyError;

/// Bytes of a scalar: 521 bits.
const SCALAR: usize = 66;
/// Bits that a 66-byte string has more than the group order.
const SPARE_BITS: u32 = 7;

/// Signs `message` with SHA-512 and the RFC 6979 nonce.
pub(super) fn sign_p521(key: &p521::SecretKey, message: &[u8]) -> Result<Signature, KeyError> {
    let secret = Zeroizing::new(key.to_bytes());
    let hash = Sha512::digest(message);
    let mut nonces = Nonces::new(&secret, &hash);
    let signer = p521::ecdsa::SigningKey::from_bytes(&secret)?;
    Ok(signer.sign_prehash_with_rng(&mut nonces, &hash)?)
}

/// The generator of RFC 6979, section 3.2, over HMAC-SHA-512. The signer draws candidates from it as if they were
/// random and draws again when one is not below the group order: exactly step h.
struct Nonces {
    k: Zeroizing<[u8; 64]>,
    v: Zeroizing<[u8; 64]>,
    drawn: bool,
}

impl Nonces {
    fn new(secret: &[u8], hash: &[u8]) -> Self {
        // bits2octets: the hash has 512 bits, fewer than the order, so it is only padded on the left.
        let mut octets = [0; SCALAR];
        octets[SCALAR - hash.len()..].copy_from_slice(hash);
        let mut this = Self { k: Zeroizing::new([0; 64]), v: Zeroizing::new([1; 64]), drawn: false };
        for step in [0u8, 1] {
            this.k = hmac(&this.k, &[&this.v[..], &[step], secret, &octets]);
            this.v = hmac(&this.k, &[&this.v[..]]);
        }
        this
    }

    fn candidate(&mut self) -> Zeroizing<[u8; SCALAR]> {
        if self.drawn {
            self.k = hmac(&self.k, &[&self.v[..], &[0]]);
            self.v = hmac(&self.k, &[&self.v[..]]);
        }
        self.drawn = true;
        let mut bits = Zeroizing::new([0; SCALAR]);
        for part in bits.chunks_mut(64) {
            self.v = hmac(&self.k, &[&self.v[..]]);
            part.copy_from_slice(&self.v[..part.len()]);
        }
        // bits2int keeps the leftmost 521 bits.
        let mut carry = 0u8;
        for byte in bits.iter_mut() {
            let low = *byte << (8 - SPARE_BITS);
            *byte = (*byte >> SPARE_BITS) | carry;
            carry = low;
        }
        bits
    }
}

impl RngCore for Nonces {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        for part in dest.chunks_mut(SCALAR) {
            part.copy_from_slice(&self.candidate()[..part.len()]);
        }
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

/// Holds only within this module: the values are secret and are used for one signature.
impl CryptoRng for Nonces {}

/// HMAC-SHA-512 (RFC 2104) with a 64-byte key.
fn hmac(key: &[u8; 64], parts: &[&[u8]]) -> Zeroizing<[u8; 64]> {
    let padded = |pad: u8| {
        let mut block = Zeroizing::new([pad; 128]);
        for (byte, k) in block.iter_mut().zip(key) {
            *byte ^= k;
        }
        block
    };
    let mut inner = Sha512::new_with_prefix(&padded(0x36)[..]);
    for part in parts {
        inner.update(part);
    }
    let mut outer = Sha512::new_with_prefix(&padded(0x5c)[..]);
    outer.update(inner.finalize());
    Zeroizing::new(outer.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6979, appendix A.2.7: P-521, SHA-512, messages "sample" and "test".
    #[test]
    fn matches_the_vectors_of_the_rfc() {
        let key = p521::SecretKey::from_slice(
            &hex::decode("00FAD06DAA62BA3B25D2FB40133DA757205DE67F5BB0018FEE8C86E1B68C7E75CAA896EB32F1F47C70855836A6D16FCC1466F6D8FBEC67DB89EC0C08B0E996B83538").unwrap(),
        )
        .unwrap();
        for (message, r, s) in [
            (
                "sample",
                "00C328FAFCBD79DD77850370C46325D987CB525569FB63C5D3BC53950E6D4C5F174E25A1EE9017B5D450606ADD152B534931D7D4E8455CC91F9B15BF05EC36E377FA",
                "00617CCE7CF5064806C467F678D3B4080D6F1CC50AF26CA209417308281B68AF282623EAA63E5B5C0723D8B8C37FF0777B1A20F8CCB1DCCC43997F1EE0E44DA4A67A",
            ),
            (
                "test",
                "013E99020ABF5CEE7525D16B69B229652AB6BDF2AFFCAEF38773B4B7D08725F10CDB93482FDCC54EDCEE91ECA4166B2A7C6265EF0CE2BD7051B7CEF945BABD47EE6D",
                "01FBD0013C674AA79CB39849527916CE301C66EA7CE8B80682786AD60F98F7E78A19CA69EFF5C57400E3B3A0AD66CE0978214D13BAF4E9AC60752F7B155E2DE4DCE3",
            ),
        ] {
            let signature = sign_p521(&key, message.as_bytes()).unwrap();
            assert_eq!(hex::encode_upper(signature.r().to_bytes()), r);
            assert_eq!(hex::encode_upper(signature.s().to_bytes()), s);
        }
    }
}
